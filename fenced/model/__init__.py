"""Names and values that every layer shares. No behaviour beyond checking and printing themselves."""
