"""Builds the site (`make docs`), shows it (`make docs-serve`), or takes the pictures of terminals again."""

import sys

import click

from tests.site.build import build, serve
from tests.site.screens import redrawn, take
from tests.site.staging import BUILD


@click.group()
def main() -> None:
    """The documentation as a site."""


@main.command(name="build")
def build_command() -> None:
    """Write the site into build/site; a link that leads nowhere is an error."""
    site = build(BUILD)
    click.echo(f"docs: {site / 'index.html'}")


@main.command(name="serve")
@click.option("--port", default=8000, show_default=True)
def serve_command(port: int) -> None:
    """Build, then serve it to this machine until Ctrl-C."""
    serve(build(BUILD), port)


@main.command(name="screens")
@click.option("--redraw", is_flag=True, help="Draw what was recorded earlier; run no lab.")
def screens_command(redraw: bool) -> None:
    """Run the lab, and write what fencectl prints into docs/pictures."""
    for picture in redrawn() if redraw else take():
        click.echo(picture)


if __name__ == "__main__":
    sys.exit(main())
