"""The house itself: documents, set-up, packaging and the rules of how the code reads."""
