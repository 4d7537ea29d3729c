"""The gates: whether automatic power is allowed now, each with its reason (S10 to S13, S18, S19).

`match` reads the expressions that select the hosts of a pause.
"""
