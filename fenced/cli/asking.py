"""The catalogue of drivers for a command, with a line of progress on a terminal."""

import sys
from typing import Final

import click

from fenced.model.drivers import Catalogue

AGENTS_SHOWN_FROM: Final = 10


def driver_catalogue() -> Catalogue:
    """Return the catalogue; it shows progress on a terminal. Imports the drivers only now, so that the help is fast."""
    from fenced.drivers.catalogue import DriverCatalogue

    return DriverCatalogue(progress=show_progress)


def show_progress(asked: int, all_of_them: int) -> None:
    """Show one line that overwrites itself; nothing for a pipe or for a few agents."""
    if all_of_them >= AGENTS_SHOWN_FROM and sys.stderr.isatty():
        end = "\r\033[K" if asked == all_of_them else ""
        click.echo(f"\rreading metadata of fence agents: {asked} of {all_of_them}{end}", err=True, nl=False)
