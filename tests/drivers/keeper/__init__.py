"""The keeper and the warm templates."""
