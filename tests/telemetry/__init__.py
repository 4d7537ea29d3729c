"""Metrics and logs, read back as their consumers read them."""
