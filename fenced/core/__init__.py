"""Decides: events in; records, commands and announcements out. No await, clock, random, log or I/O: `now` comes in.

    event -> decide -+-> suspected/   a heartbeat or its absence; a device that lies; whether the host could be fenced
                     +-> operation/   races, OFF, read back, announce, ON; requests; after a restart
                     +-> fleet_decisions, closed_gates   bus, lease, inventory, pauses; gates that stay closed

    allowed/    the gates before a power command          believed/   devices that lied, or that two hosts have
    reach/      which proxies may reach a device          heard/      what was heard and read since our start
    durable/    states, records, and how one follows from the other
    said/       which events and states others see        decided/    the record of each decision, to explain it

`decide.decide` is the only door. `work` holds one decision in the making, `fleet` everything that the core knows.
Import-linter holds the floors (pyproject.toml).
"""
