"""Properties: hypothesis drives whole machines through random histories and checks invariants after every step.

`profiles` sets the amount: fixed examples in CI, fifty times as many fresh ones
with HYPOTHESIS_PROFILE=soak (make soak).
"""
