"""What a configuration must fulfil beyond the form of its keys. Every check has one shape: from the draft to findings.

load ── Draft ──> run: CHECKS, in order ── Finding ──> finding.report ──> Mistakes

finding    what a check returns, and the keys that it rests on
draft      what a check gets: tables, entries, the built inventory, and where everything is written
vocabulary what a driver means by the names of options, looked up once for each name
run        the list of all checks

power devices   device_addresses, options, device_keys, agent_trust, identities
plugs           outlets (likeness: are two plugs one? units: which are reached at one address?)
time            timing, levels, rounds
who reaches it  reach, proxies, names, heard_as, network
the rest        hosts, shards, storms, evidence, saving, not_yet
"""
