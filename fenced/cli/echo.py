"""Prints lines for a user at a terminal. They may quote foreign text: a host's reason, a device's error.

One call prints one line, with control characters removed, so that the terminal obeys none.
"""

import click

from fenced.model.text import one_line


def say(line: str) -> None:
    """Print a line of the answer on standard output."""
    click.echo(one_line(line))


def tell(line: str) -> None:
    """Print a line on standard error, where no program reads it as the answer."""
    click.echo(one_line(line), err=True)
