"""From what is heard to a suspicion, and what regular reading of the devices shows.

`detector` takes heartbeats, last wills and evidence, and looks at silence. `watch` reads fenced and failed hosts (S17),
`fenceable` judges whether a healthy host could be fenced, `giving_back` gives power back to a host that is heard again.
"""
