"""The catalogue of drivers as a command uses it: with a line of progress where a person looks on."""

import sys
from typing import Final

import click

from fenced.model.drivers import Catalogue

AGENTS_SHOWN_FROM: Final = 10


def driver_catalogue() -> Catalogue:
    """Tells a terminal how far the asking has come. The drivers are imported only now, so that the help is fast."""
    from fenced.drivers.catalogue import DriverCatalogue

    return DriverCatalogue(progress=show_progress)


def show_progress(asked: int, all_of_them: int) -> None:
    """One line that is written over; nothing for a pipe or for a few agents."""
    if all_of_them >= AGENTS_SHOWN_FROM and sys.stderr.isatty():
        end = "\r\033[K" if asked == all_of_them else ""
        click.echo(f"\rasking fence agents what they take: {asked} of {all_of_them}{end}", err=True, nl=False)
