"""The whole daemon as a process, beside real brokers, fence agents and proxies, as an operator meets it."""
