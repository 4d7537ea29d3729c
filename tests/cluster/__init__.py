"""Real controllers, proxies, broker and databases in network namespaces, and faults that hit fences under way."""
