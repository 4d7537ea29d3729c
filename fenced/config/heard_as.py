"""What the running daemon noted of names on the bus that are nearly a host's, so that the check can tell it.

The check hears no bus. One rule: the note is a hint; whatever is wrong with it is no mistake of the configuration.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fenced.config.files import UnusableFile, read_text
from fenced.model.names import HostName

NOTE: Final = "heard-as.json"
NOTE_BYTES_MAX: Final = 64 * 1024 * 1024
"""More than a whole fleet under wrong names: 10,000 hosts, each with four names and a sentence for each."""


def noted(state_dir: Path) -> Mapping[str, object]:
    """What the note says of each host; nothing where it is missing or damaged."""
    try:
        found = json.loads(read_text(state_dir / NOTE, bytes_max=NOTE_BYTES_MAX)[0])
    except (UnusableFile, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def written(told: Mapping[HostName, tuple[str, ...]]) -> str:
    """The note's text."""
    return json.dumps({name: list(sentences) for name, sentences in sorted(told.items())})
