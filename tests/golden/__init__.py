"""Golden scenarios: stories of what happens to a fleet, each with the exact decisions that must follow.

`stories/*.txt` read like stories; `story` parses and plays them in tests.world, `telling` says in words what was decided.
`scenes/*.txt` are short ones, many in a file, and together cover the tables that `coverage` lists.
`pytest tests/golden --rewrite-golden` writes the expectation anew: read the difference before you believe it.
"""
