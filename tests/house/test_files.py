"""No file contains a path of a developer's machine, a registry address, or a promise for later."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import ROOT, files, name

PLACES: Final = ("work", "root", "tmp")
REGISTRIES: Final = ("pypi", "pythonhosted", "npmjs", "ghcr", "docker", "debian", "ubuntu")
PROMISES: Final = ("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")
"""Joined from parts, here and below, so that this file does not contain what it forbids."""
FORBIDDEN: Final = {
    "a path of one machine": re.compile(rb"(?<![\w.<{$-])/(?:%s|home/\w+)\b" % "|".join(PLACES).encode()),
    "the address of a package registry": re.compile(
        rb"(?:%s)\.(?:org|com|io|net)\b" % "|".join(REGISTRIES).encode(), re.IGNORECASE
    ),
    "a promise for later": re.compile(rb"\b(?:%s)\b" % "|".join(PROMISES).encode()),
}
EXEMPT: Final = {"LICENSE": "its text is given"}
ROOT_HOLDS: Final = frozenset(
    {
        ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "config", "constraints.txt", "docs",
        "fenced",
        "pyproject.toml", "systemd", "tests",
    }
)  # fmt: skip


def test_the_root_holds_what_it_should() -> None:
    assert {name(path).partition("/")[0] for path in files()} == ROOT_HOLDS


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
        ("a path of one machine", f"cd /{PLACES[0]}/main"),
        ("a path of one machine", f'DIRECTORY = "/{PLACES[2]}/fenced"'),
        ("a path of one machine", f"see /{PLACES[1]}/.config"),
        ("the address of a package registry", f"index-url = https://{REGISTRIES[0]}.org/simple"),
        ("a promise for later", f"# {PROMISES[0]}: later"),
    ],
)
def test_what_is_forbidden_is_found(kind: str, line: str) -> None:
    assert FORBIDDEN[kind].search(line.encode())


PICTURE_BYTES_MAX: Final = 200_000


def test_texts_are_text_and_end_with_a_line_end() -> None:
    """Screenshots apart: they are pictures, and small."""
    pictures = [path for path in files() if path.suffix == ".png"]
    faults = [name(path) for path in files() if path not in pictures and not _is_whole_text(path)]
    assert faults == []
    odd = [name(path) for path in pictures if path.parent != ROOT / "docs/pictures" or not _is_small_picture(path)]
    assert odd == []


def _is_small_picture(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(b"\x89PNG") and len(content) < PICTURE_BYTES_MAX


def _is_whole_text(path: Path) -> bool:
    content = path.read_bytes()
    return b"\r" not in content.replace(rb"\r", b"") and (content == b"" or content.endswith(b"\n"))
