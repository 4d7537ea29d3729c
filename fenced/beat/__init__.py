"""The heartbeat of a host as one file, `fenced_beat.py`, for hosts that have nothing else of this program."""
