"""No file says where it was written: no path of somebody's machine, no registry, no promise for later."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import files, name

FORBIDDEN: Final = {
    "a path of one machine": re.compile(rb"(?<![\w.<{$-])/(?:work|root|home/\w+|tmp)\b"),
    "the address of a package registry": re.compile(
        rb"(?:pypi|pythonhosted|npmjs|ghcr|docker|debian|ubuntu)\.(?:org|com|io|net)\b", re.IGNORECASE
    ),
    "a promise for later": re.compile(rb"\b(?:TODO|FIXME|XXX|HACK)\b"),
}
EXEMPT: Final = {
    "LICENSE": "its text is given",
    "tests/house/test_files.py": "names what it looks for",
}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind: str) -> None:
    found = [
        f"{name(path)}:{number}: {line.decode(errors='replace').strip()}"
        for path in files()
        if name(path) not in EXEMPT
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if FORBIDDEN[kind].search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("a path of one machine", b"cd /work/main"),
        ("a path of one machine", b'DIRECTORY = "/tmp/fenced"'),
        ("a path of one machine", b"see /root/.config"),
        ("the address of a package registry", b"index-url = https://pypi.org/simple"),
        ("a promise for later", b"# TODO: later"),
    ],
)
def test_what_is_forbidden_is_found(kind: str, line: bytes) -> None:
    assert FORBIDDEN[kind].search(line)


def test_texts_are_text_and_end_with_a_line_end() -> None:
    faults = [name(path) for path in files() if not _is_whole_text(path)]
    assert faults == []


def _is_whole_text(path: Path) -> bool:
    content = path.read_bytes()
    return b"\r" not in content.replace(rb"\r", b"") and (content == b"" or content.endswith(b"\n"))
