"""What the running daemon noted of names on the bus that are nearly a host's, so that the check can tell it.

The check hears no bus. One rule: the note is a hint; whatever is wrong with it is no mistake of the configuration.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fenced.config.build import Built
from fenced.config.files import UnusableFile, read_text
from fenced.config.mistakes import Mistakes
from fenced.model.names import HostName

NOTE: Final = "heard-as.json"
NOTE_BYTES_MAX: Final = 64 * 1024 * 1024
"""More than a whole fleet under wrong names: 10,000 hosts, each with four names and a sentence for each."""


def check_names(built: Built, state_dir: Path, mistakes: Mistakes) -> None:
    """A warning for each host that the daemon lately heard under another name."""
    try:
        noted = json.loads(read_text(state_dir / NOTE, bytes_max=NOTE_BYTES_MAX)[0])
    except (UnusableFile, ValueError, RecursionError):
        return
    if not isinstance(noted, Mapping):
        return
    for host in built.hosts:
        told = noted.get(host.host.name, ())
        for sentence in told if isinstance(told, list) else ():
            mistakes.warning(host.entry.where, f"the daemon noted: {sentence}", value=host.host.name, unit="name")


def written(told: Mapping[HostName, tuple[str, ...]]) -> str:
    """The note's text."""
    return json.dumps({name: list(sentences) for name, sentences in sorted(told.items())})
