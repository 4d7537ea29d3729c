"""Heartbeats, liveness, this machine, sd_notify and the systemd units, against the real ones."""
