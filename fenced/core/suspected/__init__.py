"""Turns heartbeats into suspicions, and evaluates the regular device reads.

    message -> hearing -+                       +-> operation starts
                        +-> looking -> confirming
    timer --------------+      |                +-> held by a gate
                               +-> watch: fenced and failed hosts, round by round (S17)
    path read -> fenceable: could the host be fenced now?

`silence` measures how long a host is silent, `freshness` separates old messages from new ones, `giving_back` restores
power to a host that sends heartbeats again.
"""
