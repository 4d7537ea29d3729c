"""A whole data centre in virtual time: the real engine over fakes that implement whole ports.

`loop` jumps from timer to timer, `machines` is the truth (hosts, plugs, faults); `wires`, `proxies`, `network` and `post` are
what the daemon can reach of it, `world` puts a daemon into it and kills it, `checker` compares what was said with what is true.
Base of the simulation.
"""
