"""Rubbish at every border: external input becomes one of fenced's values or one of its errors."""
