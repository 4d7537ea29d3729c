"""The proxy agent and its client over real sockets, TLS and processes; the drivers are programs of the tests."""
