"""Prometheus metrics, structured logs, sd_notify."""
