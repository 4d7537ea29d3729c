"""Tests of the repository itself: documents, set-up, packaging and the rules for code."""
