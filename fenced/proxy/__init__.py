"""The proxy protocol: the agent's server with its token memory, the daemon's client, certificates for both."""
