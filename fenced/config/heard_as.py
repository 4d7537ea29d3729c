"""The running daemon's note of names on the bus that are nearly a host's; `fenced check-config` warns of them.

The note is only a hint: a missing or damaged one is no mistake of the configuration, nor is an old one, which a daemon
left that was killed.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fenced.config.files import UnusableFile, read_text
from fenced.model.names import HostName

NOTE: Final = "heard-as.json"
FRESH_SECONDS: Final = 600.0
"""A running daemon writes the note anew every five minutes."""
NOTE_BYTES_MAX: Final = 64 * 1024 * 1024
"""More than a fleet of 10,000 hosts needs with four wrong names each."""


def noted(state_dir: Path) -> Mapping[str, object]:
    """Return the sentences about each host; nothing if the note is missing, damaged or old."""
    try:
        if time.time() - (state_dir / NOTE).stat().st_mtime > FRESH_SECONDS:
            return {}
        found = json.loads(read_text(state_dir / NOTE, bytes_max=NOTE_BYTES_MAX)[0])
    except (UnusableFile, OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def written(sentences_of: Mapping[HostName, tuple[str, ...]]) -> str:
    """Return the note's text."""
    return json.dumps({name: list(sentences) for name, sentences in sorted(sentences_of.items())})
