"""`fenced lab`: a virtual rack on this machine. Turns the command line into options for `app/lab`."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from fenced.config.durations import parse_duration

HOSTS, SAVING_HOSTS = 3, 5


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise click.BadParameter(f"{value!r} is {exc}", ctx, param) from exc


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--hosts", type=int, help="How many hosts, 2 to 20.  [default: 3, with --saving 5]")
@click.option(
    "--proxies", default=2, show_default=True, type=int, help="How many proxies, besides one that never answers."
)
@click.option(
    "--controllers",
    default=1,
    show_default=True,
    type=int,
    help="1, or 2 that share a PostgreSQL of the lab: one acts, the other takes over (needs postgresql and mosquitto).",
)
@click.option(
    "--saving", "is_saving", is_flag=True, help="Put idle hosts to sleep, and wake them when they are needed."
)
@click.option("--kill", "host", metavar="HOST", help="Kill this host once all are healthy (headless: node-2 of 3).")
@click.option(
    "--how",
    type=click.Choice(["crash", "freeze", "unplug"]),
    default="crash",
    show_default=True,
    help="How: its processes die with power on, it hangs, or it loses its network and runs on.",
)
@click.option(
    "--bmc-standby",
    type=click.Choice(["shared", "separate"]),
    default="shared",
    show_default=True,
    help="Whether BMCs lose power with the outlets, or have standby power of their own.",
)
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    callback=_duration,
    help="End after this time; headless: the limit of the story.",
)
@click.option("--headless", "is_headless", is_flag=True, help="Kill one host, report what happens, then end.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Empty directory to keep for configuration, store and logs. Default: a temporary one.",
)
@click.option("--keep", "is_kept", is_flag=True, help="Keep the temporary directory.")
@click.option("--no-namespaces", "is_plain", is_flag=True, help="Run hosts as process groups, even as root.")
def command(
    hosts: int | None,
    proxies: int,
    controllers: int,
    is_saving: bool,
    host: str | None,
    how: str,
    bmc_standby: str,
    duration: float | None,
    is_headless: bool,
    state_dir: Path | None,
    is_kept: bool,
    is_plain: bool,
) -> None:
    """Run a virtual rack: broker, daemon, proxies, emulated outlets and BMCs, and hosts whose processes really die.

    \b
    fenced lab                                   stays up; type `help` in it
    fenced lab --headless --kill node-2          kill one host and watch
    fenced lab --headless --controllers 2        then kill the controller that acts, too
    fenced lab --headless --saving               an idle host is put to sleep, and wakes as the spare of a killed one
    """
    from fenced.app.lab import LabOptions, run_lab
    from fenced.lab.errors import LabError
    from fenced.lab.laboratory import Plan
    from fenced.lab.story import Blow

    try:
        options = LabOptions(
            plan=Plan(
                hosts=hosts if hosts is not None else SAVING_HOSTS if is_saving else HOSTS,
                proxies=proxies,
                controllers=controllers,
                is_standby_separate=bmc_standby == "separate",
                is_saving=is_saving,
            ),
            host=host,
            blow=Blow(how),
            for_seconds=duration,
            is_headless=is_headless,
            directory=state_dir,
            is_kept=is_kept,
            is_plain=is_plain,
        )
        sys.exit(asyncio.run(run_lab(options, say=_say, waterfall=_waterfall)))
    except LabError as exc:
        raise click.ClickException(str(exc)) from exc


def _say(line: str) -> None:
    """Print and flush, so that a pipe gets each line at once."""
    click.echo(line)
    sys.stdout.flush()


def _waterfall(operation: Mapping[str, Any]) -> Sequence[str]:
    from fenced.cli.waterfall import render

    return render(operation)
