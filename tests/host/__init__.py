"""Heartbeats, liveness, this machine, sd_notify and the systemd units, tested against the real counterparts."""
