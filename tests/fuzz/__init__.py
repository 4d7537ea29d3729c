"""Rubbish at every border: external input becomes one of our own values or one of our own errors."""
