"""The documented production path, followed on a real systemd with Debian's packages as installed."""
