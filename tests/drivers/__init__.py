"""Drivers, with real processes, real fence agents and emulated BMCs. One folder a family, as in `fenced/drivers`."""
