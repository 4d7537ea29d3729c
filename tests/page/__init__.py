"""The page: what it shows, who gets in, what its forms do, and a person's ways through it in a real browser."""
