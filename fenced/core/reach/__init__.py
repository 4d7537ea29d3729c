"""Which proxies may reach a device, in which order: preference lists (`candidates`), failure domains (`domains`).

Depends on the inventory alone, not on the state of hosts.
"""
