"""Measurements: each beside a floor or a competitor of the same run, as a ratio (DESIGN section 7). `python -m tests.bench`."""
