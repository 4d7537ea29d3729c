"""`fenced beat`: runs `fenced/beat/fenced_beat.py`, which parses the command line itself and runs alone on hosts."""

import sys
from typing import Any, Final

import click

from fenced.beat import fenced_beat

PROGRAM: Final = "fenced beat"
EXIT_CONFIGURATION: Final = fenced_beat.EXIT_CONFIGURATION


class BeatCommand(click.Command):
    """Leaves the command line to the file. `params` lists its options for those who want to know them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Exits with 2 for wrong usage, and with 0 after --help and --version."""
        fenced_beat.options(PROGRAM).parse_args(args)
        ctx.args = args
        return args

    def invoke(self, ctx: click.Context) -> Any:
        sys.exit(fenced_beat.main(ctx.args, PROGRAM))


command = BeatCommand(
    "beat",
    params=[click.Option(action.option_strings) for action in fenced_beat.options()._actions],
    add_help_option=False,
    short_help="Send heartbeats of this machine, and `stopping` when it shuts down.",
)
