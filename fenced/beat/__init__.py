"""The heartbeat of a host as one file, `fenced_beat.py`, which is copied to hosts that have nothing else of this program."""
