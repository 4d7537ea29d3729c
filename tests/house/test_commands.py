"""Every command in every document exists, with its options, operands and the form of their values."""

import shlex
from pathlib import Path

import pytest

from tests.house.tree import files, name
from tests.pages.commands import Command, commands, fault

DOCUMENTS = tuple(path for path in files() if path.suffix == ".md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_are_accepted(path: Path) -> None:
    """Parsed as the program does it, without running anything."""
    wrong = [f"{each.place}: {each.text}: {why}" for each in commands(path) if (why := fault(each)) is not None]
    assert wrong == []


def test_commands_were_found() -> None:
    """Otherwise the test above would pass without having tested anything."""
    found = {name(path): list(commands(path)) for path in DOCUMENTS}
    pages = {page for page, listed in found.items() if any(not each.is_mention for each in listed)}
    assert {"README.md", "docs/first-install.md", "docs/proxies.md", "docs/fencectl.md", "docs/migration.md"} <= pages
    assert sum(each.is_mention for listed in found.values() for each in listed) > 100


@pytest.mark.parametrize(
    ("line", "is_mention"),
    [
        ("fencectl restart node-1 --no-such-option", False),
        ("fencectl restart --no-such-option", True),
        ("fencectl fly node-1", False),
        ("fencectl fly", True),
        ("fenced run", False),
        ("fencectl maintenance node-1", False),
        ("fencectl maintenance on HOST --reason '...'", True),
        ("fencectl maintenance HOST on", True),
        ("fencectl operations --limit many", True),
        ("fenced-beat --no-such-option", False),
        ("make everything", True),
        ("make soak UNTIL=1h", True),
        ("systemctl reload fenced-daemon", True),
        ("systemctl renew fenced", True),
        ("journalctl -u fenced-daemon", False),
        ("python -m fenced.config.references docs", True),
        ("mosquitto_sub -t fenced/v1/site-1/states/node-1", False),
    ],
)
def test_wrong_commands_are_found_out(line: str, is_mention: bool) -> None:
    assert fault(Command("", tuple(shlex.split(line)), is_mention)) is not None


@pytest.mark.parametrize(
    "line",
    [
        "fencectl off",
        "fenced certs proxy NEW ...",
        "fencectl maintenance HOST on|off --reason '...'",
        "make test APT=no",
    ],
)
def test_names_and_whole_commands_are_accepted(line: str) -> None:
    assert fault(Command("", tuple(shlex.split(line)), True)) is None
