"""Composition roots: each builds its program's parts from the configuration, runs them, and reports to systemd."""
