"""Rubbish at every border: what reads from outside ends in one of our own values or in one of our own errors."""
