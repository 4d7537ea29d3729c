"""The IPMI driver."""
