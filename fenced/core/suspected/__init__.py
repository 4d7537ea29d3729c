"""From what is heard to a suspicion, and what regular reading of the devices shows.

    message -> hearing -+                       +-> operation starts
                        +-> looking -> confirming
    timer --------------+      |                +-> held by a gate
                               +-> watch: fenced and failed hosts, round by round (S17)
    path read -> fenceable: could the host be fenced now?

`silence` measures it, `freshness` tells an old message from a new one, `giving_back` gives power back to a host that is
heard again.
"""
