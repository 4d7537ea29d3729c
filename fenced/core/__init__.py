"""Events in, decisions out. No await, clock, random, log or I/O: time comes in as `now`.

Every state is kept as the fold of records (`evolve`); every change is first a record (`decide`).
"""
