"""Which proxies may reach a device, in which order: a preference list (`candidates`) spread over failure domains (`domains`).

Knows the inventory and no state.
"""
