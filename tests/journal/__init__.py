"""The store: one contract for each implementation, the codec, and what only files can do."""
