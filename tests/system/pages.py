"""The commands of a page of the documentation, as a reader would type them."""

import re
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)


def blocks(page: str) -> dict[str, list[str]]:
    """Return heading -> the blocks of shell commands below it, in the order of the page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    parts = HEADING.split(text)
    found = {heading: BLOCK.findall(part) for heading, part in zip(parts[1::2], parts[2::2], strict=True)}
    return {heading: listed for heading, listed in found.items() if listed}


def shims() -> str:
    """Return a script that makes `ssh` and `scp` act on this machine: one machine plays all of them."""
    return (
        "printf '#!/bin/sh\\nshift; cd /srv; exec bash -ec \"$*\"\\n' > /usr/local/bin/ssh\n"
        "printf '#!/bin/sh\\nexec cp \"$1\" /srv/\\n' > /usr/local/bin/scp\n"
        "chmod 755 /usr/local/bin/ssh /usr/local/bin/scp\n"
    )


def files_named(page: str) -> set[Path]:
    """Return the absolute paths below /etc/fenced that a page names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return {Path(path) for path in re.findall(r"/etc/fenced/[\w./-]+\w", text)}
