"""Metrics and logs, parsed as their consumers parse them."""
