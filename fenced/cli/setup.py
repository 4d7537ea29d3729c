"""`fenced setup`: everything that belongs together, from one list of hosts. `setup/run` does the work."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from fenced.config.durations import parse_duration
from fenced.setup.asked import Asked, Report
from fenced.setup.daemon import CONFIGURATION, PROGRAM
from fenced.setup.files import Done, counted
from fenced.setup.fleet import SITE, Fleet, NotSetUp
from fenced.setup.run import run

PROGRESS_FROM: Final = 50
SYSTEMCTL: Final = "/usr/bin/systemctl"
RELOAD_SECONDS: Final = 90
WORDS: Final = {
    Done.MADE: "made",
    Done.CHANGED: "changed",
    Done.KEPT: "kept, it is yours",
    Done.DIFFERS: "NOT CHANGED, it was edited",
}


@click.command("setup")
@click.option("--host", "hosts", multiple=True, metavar="NAME[=ADDRESS]", help="A host to watch. May be repeated.")
@click.option("--proxy", "proxies", multiple=True, metavar="NAME=ADDRESS", help="A machine that runs a proxy agent.")
@click.option(
    "--broker",
    "brokers",
    multiple=True,
    metavar="NAME",
    help="Name or address under which the machines reach the broker; the first is written into their files. "
    "Default: this machine's full name.",
)
@click.option("--site", metavar="S", help=f"The site: second part of every topic. Default: {SITE}.")
@click.option("--name", "controller", metavar="NAME", help="Name of this daemon. Default: the machine's host name.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="An evidence source for every host.")
@click.option("--reader", "readers", multiple=True, metavar="NAME", help="A program that only reads the bus.")
@click.option(
    "--broker-here/--broker-elsewhere",
    "has_broker",
    default=None,
    help="Whether Mosquitto runs on this machine. Default: if it is installed here.",
)
@click.option("--reissue", multiple=True, metavar="NAME", help="Give it a new password and certificate.")
@click.option("--renew", is_flag=True, help="Renew certificates that end soon, and change nothing else: for a timer.")
@click.option("--revoke", multiple=True, metavar="NAME", help="Remove this account from the broker.")
@click.option(
    "--renew-within", "within", default="60d", show_default=True, metavar="D",
    help="Renew certificates that end within this time.",
)  # fmt: skip
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path("/"), help="Write below DIR.")
@click.option("--no-input", is_flag=True, help="Ask no questions, also on a terminal.")
@click.option("-n", "--dry-run", "is_dry", is_flag=True, help="Show what would be done; write nothing.")
def command(
    hosts: Sequence[str],
    proxies: Sequence[str],
    brokers: Sequence[str],
    site: str | None,
    controller: str | None,
    sources: Sequence[str],
    readers: Sequence[str],
    has_broker: bool | None,
    reissue: Sequence[str],
    renew: bool,
    revoke: Sequence[str],
    within: str,
    root: Path,
    no_input: bool,
    is_dry: bool,
) -> None:
    """Make everything that an installation needs, so that every file fits the others.

    \b
    fenced setup --broker bus.example.org --host node-1 --host node-2
    fenced setup --host node-3=10.0.0.3          # later: add a host
    fenced setup --reissue node-2                # its password leaked
    fenced setup                                 # hosts of the inventory; renew what ends soon
    fenced setup --renew                         # only renew (fenced-renew.timer does it each day)

    It makes a private authority, certificates, the broker's accounts, access list and configuration, fenced.toml, a
    first inventory, units, and one small archive for each host and proxy. Run it again at any time: it makes what is
    missing, and shows the difference where a person changed a file, without touching that file. The first run on a
    terminal asks for what no option says.
    """
    if renew:
        _refuse_more(hosts, proxies, brokers, site, controller, sources, readers, reissue, revoke)
    is_first = not (root / CONFIGURATION.relative_to("/")).exists()
    if is_first and not hosts and not no_input and not renew and sys.stdin.isatty():
        site, brokers, hosts = _answers(site, brokers)
    asked = Asked(
        fleet=Fleet(
            site=site or SITE,
            controller=controller or re.sub(r"\..*", "", socket.gethostname()),
            broker=tuple(brokers),
            hosts=tuple(name for name, _ in map(_pair, hosts)),
            proxies={name: (address or name,) for name, address in map(_pair, proxies)},
            sources=tuple(sources),
            readers=tuple(readers),
        ),
        addresses=tuple(map(_pair, hosts)), reissue=frozenset(reissue), revoke=frozenset(revoke),
        has_broker=has_broker,
        program=_program(),
        root=root.absolute(),
        is_dry=is_dry, is_renewal=renew, site=site, controller=controller, within=_duration(within),
    )  # fmt: skip
    report = _done(asked)
    _print(report, is_dry=is_dry)
    sys.exit(1 if report.problems else 0)


def _refuse_more(*others: object) -> None:
    """Refuse options that a renewal would ignore."""
    if any(others):
        raise click.UsageError("--renew changes nothing but certificates: run fenced setup without it for the rest")


def _done(asked: Asked) -> Report:
    try:
        report = run(asked, progress=_progress)
    except NotSetUp as exc:
        raise click.ClickException(str(exc)) from exc
    if asked.is_renewal and report.is_broker_renewed and not asked.is_dry and asked.root == Path("/"):
        report.notes.append(_reload_broker())
    return report


def _answers(site: str | None, brokers: Sequence[str]) -> tuple[str, Sequence[str], Sequence[str]]:
    """Ask for what a first installation needs: site, name of the broker's machine, hosts."""
    site = site or click.prompt("Site (second part of every topic)", default=SITE)
    if not brokers:
        brokers = (click.prompt("Name or address under which the hosts reach the broker", default=socket.getfqdn()),)
    hosts = click.prompt("Hosts, as NAME or NAME=ADDRESS, with spaces between", default="", show_default=False).split()
    return site, brokers, hosts


def _pair(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    return name.strip(), address.strip()


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--renew-within") from exc


def _program() -> str:
    """Return where the running program is, for the unit."""
    found = shutil.which(sys.argv[0])
    return str(Path(found).absolute()) if found and Path(found).name == Path(PROGRAM).name else PROGRAM


def _reload_broker() -> str:
    """Let a broker that runs use its new certificate; connections stay. Return what was done."""
    try:
        command = [SYSTEMCTL, "try-reload-or-restart", "mosquitto.service"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RELOAD_SECONDS, check=False)
        why = done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as exc:
        done, why = None, str(exc)
    if done is not None and done.returncode == 0:
        return "the broker was reloaded and uses its new certificate"
    raise click.ClickException(f"mosquitto could not be reloaded ({why}): it uses its old certificate until it is")


def _progress(done: int, of: int) -> None:
    """Show long work on a terminal."""
    if of >= PROGRESS_FROM and sys.stderr.isatty():
        click.echo(f"\raccounts: {done} of {of}", nl=done == of, err=True)


def _print(report: Report, *, is_dry: bool) -> None:
    if is_dry:
        click.echo("Dry run: nothing is written.")
    for outcome in report.outcomes:
        if outcome.done is not Done.SAME:
            click.echo(f"{WORDS[outcome.done]:<18} {outcome.path}")
        if outcome.difference:
            click.echo(outcome.difference)
    same = counted(report.outcomes)[Done.SAME]
    if same:
        click.echo(f"{same} files are as they should be")
    for line in report.bundles:
        click.echo(f"bundle             {line}")
    for line in report.notes:
        click.echo(f"note: {line}")
    for line in report.problems:
        click.echo(f"PROBLEM: {line}", err=True)
    if report.next:
        click.echo(f"\nNext, with the configuration {CONFIGURATION}:")
    for number, line in enumerate(report.next, start=1):
        click.echo(f"{number}. {line}")
