"""Records why a host was, was not, or would be fenced: one immutable record a change, which explains itself.

`recording` is called where the outcome changes, `inputs` and `planning` collect what was known, and `lines` tells a
record to a person. Nothing here decides anything.
"""
