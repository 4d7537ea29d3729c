"""Measurements: each beside a floor or a competitor of the same run (design.md#speed-and-size).

`python -m tests.bench`.
"""
