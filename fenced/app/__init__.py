"""Composition roots: build everything from the configuration, run the task group, tell systemd."""
