"""`fenced`: one program with one module per command.

A command's module is imported only when it runs, to start fast.
"""

import gc
import importlib
from typing import Final

import click

from fenced import __version__

COMMANDS: Final = {
    "run": "fenced.cli.run",
    "reload": "fenced.cli.reload",
    "store": "fenced.cli.store",
    "check-config": "fenced.cli.check_config",
    "setup": "fenced.cli.setup",
    "import": "fenced.cli.import_",
    "proxy": "fenced.cli.proxy",
    "beat": "fenced.cli.beat",
    "agents": "fenced.cli.agents",
    "certs": "fenced.cli.certs",
    "lab": "fenced.cli.lab",
}
"""Command -> module; each module has a click command (or group) named `command`."""

SUMMARIES: Final = {
    "run": "Run the daemon.",
    "reload": "Reload the running daemon's configuration.",
    "store": "Check, copy, adopt or upgrade a store.",
    "check-config": "Check a configuration and its inventory.",
    "setup": "Make everything that an installation needs, so that every file fits the others.",
    "import": "Make an inventory from Pacemaker, oVirt, medik8s or a table, and list everything that is lost.",
    "proxy": "Serve a daemon: switch and read power devices from a machine that can reach them.",
    "beat": "Send heartbeats of this machine, and `stopping` when it shuts down.",
    "agents": "List the installed fence agents, or the parameters of one.",
    "certs": "Make certificates for the daemon and its proxies, from your own private authority.",
    "lab": "Run a virtual rack: broker, daemon, proxies, emulated outlets and BMCs, and hosts whose processes really "
    "die.",
}
"""Command -> the first sentence of its help, so that the list of commands imports none of them."""


class LazyGroup(click.Group):
    """Imports a command's module only for that command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*SUMMARIES.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        gc.disable()  # a program's modules stay: looking through them again and again costs a tenth of its start
        try:
            command: click.Command = importlib.import_module(module).command
        finally:
            gc.freeze()
            gc.enable()
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fenced")
def main() -> None:
    """Fencing daemon: decides, cuts power on all redundant devices, proves it, announces it."""


if __name__ == "__main__":
    main()
