"""What several adapters share: HTTP bodies, the door of a server, TLS faults, and files that others name."""
