"""The proxy agent and its client, over real sockets, TLS and processes, with drivers written for these tests."""
