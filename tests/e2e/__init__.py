"""The whole daemon as a process, with real brokers, fence agents and proxies, as an operator meets it."""
