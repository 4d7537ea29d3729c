"""The store: one contract for every implementation, the codec, and what only files can do."""
