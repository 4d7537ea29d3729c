"""Checks that a command in a text is one that fencectl takes, without running it."""

import shlex

from fenced.cli.fencectl.commands import main


def assert_typed(line: str) -> None:
    """Parse a line that begins with `fencectl`; a comment may follow. Raises UsageError for a wrong one."""
    program, name, *words = shlex.split(line, comments=True)
    assert program == "fencectl"
    main.commands[name].make_context(name, words)
