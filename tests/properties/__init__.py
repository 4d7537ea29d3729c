"""Properties: hypothesis drives whole machines through random histories and looks at what must hold after every step.

`profiles` says how long: a fixed set of examples in CI, fresh and fifty times as many with HYPOTHESIS_PROFILE=soak (make soak).
"""
