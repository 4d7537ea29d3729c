"""Golden scenarios: stories of what happens to a fleet, each with the exact decisions that must follow.

`stories/*.txt` read like stories; `story` parses and plays them in tests.world, `telling` turns records into words.
`scenes/*.txt` hold short scenes, many in a file; together they cover the tables that `coverage` lists.
`pytest tests/golden --rewrite-golden` rewrites the expectations: read the diff before you trust it.
"""
