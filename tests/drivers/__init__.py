"""Drivers with real processes, real fence agents, emulated BMCs."""
