"""Which proxies may reach a device, in which order: a preference list (`candidates`), spread over failure domains (`domains`).

Depends on the inventory alone, not on the state of hosts.
"""
