"""A whole data centre in virtual time: the real engine over fakes that implement whole ports. Base of the simulation.

`loop` jumps from timer to timer. `machines` is the truth (hosts, plugs, faults). `wires`, `proxies`, `network` and
`post` are what the daemon can reach of it. `world` starts and kills daemons, and `checker` compares what they claim
with the truth.
"""
