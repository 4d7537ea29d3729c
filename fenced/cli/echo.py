"""Lines for a person at a terminal. What others wrote (a host's reason, a device's error) may stand in them.

One rule: one call is one line, and nothing in it is obeyed by the terminal.
"""

import click

from fenced.model.text import one_line


def say(line: str) -> None:
    """The answer, on standard output."""
    click.echo(one_line(line))


def tell(line: str) -> None:
    """For people, beside the answer."""
    click.echo(one_line(line), err=True)
