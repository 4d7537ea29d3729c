"""Names and values that every layer shares. They check and print themselves and have no other behaviour."""
