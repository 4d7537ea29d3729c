"""Fence agents."""
