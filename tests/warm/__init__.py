"""Programs of ours that are forked instead of started: `programs.py` asks, `parent.py` forks."""
