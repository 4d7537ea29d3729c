"""`fenced setup`: what it writes, what it leaves alone, and what it says."""
