"""Runs one operation on one host's power: request or suspicion, verified OFF, announcement, restore.

    requests, confirming, automatic   start or change one      results, life   handle what came back, and signs of life
    recovery                          resumes after a restart
                    |
    advancing       does what can be done now: one module a phase, each with one `advance`
                    |
    proving -> inspecting -> announcing -> restoring -> closing          reading   only reads, then ends
                    |
    phases          moves an operation from phase to phase     endings   records the end     starting   builds a new one
    proof           what proves off, and what revokes it       paths, mismatch   paths that disagree, another machine
    steps           starts races, reads and commands

`durable.machine.PHASES` is the table of phases. Import-linter holds these floors (pyproject.toml).
"""
