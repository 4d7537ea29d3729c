"""`fenced store`: what a database promises, whose store it is, and the way of an installation to another store."""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from fenced.app.own_machine import own_machine
from fenced.cli.asking import driver_catalogue
from fenced.cli.becoming import become
from fenced.cli.check_config import EXIT_CONFIG, mistake_lines
from fenced.config.configuration import Configuration
from fenced.config.load import load

if TYPE_CHECKING:
    from fenced.journal.copying import Endpoint

EXIT_FAILED: Final = 1
PROGRESS_SECONDS: Final = 1.0

CONFIG = click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The daemon's file: state_dir, and the login and certificates of [store].",
)  # fmt: skip
USER = click.option("--user", metavar="NAME", help="Do it as this user, as which the service runs. Needs root.")

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Check, copy, adopt or upgrade a store.

    \b
    fenced store check -c /etc/fenced/fenced.toml postgresql://fenced@db.example.org/fenced
    fenced store copy -c /etc/fenced/fenced.toml sqlite:///fenced.db postgresql://fenced@db.example.org/fenced
    fenced store adopt -c /etc/fenced/fenced.toml
    fenced store upgrade -c /etc/fenced/fenced.toml
    """


@command.command("copy")
@CONFIG
@USER
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy(file: Path, user: str | None, source: str, target: str) -> None:
    """Copy the whole store into an empty one, check the copy, and mark the source as moved.

    \b
    systemctl stop fenced
    fenced store copy -c /etc/fenced/fenced.toml --user fenced \\
        sqlite:///fenced.db postgresql://fenced@db.example.org/fenced
    # set [store] url to the new store
    systemctl start fenced

    FROM and TO: sqlite:///FILE (relative to state_dir) or postgresql://USER@HOST/DATABASE. The daemon must be stopped.
    The store keeps its id and its epochs. A daemon that still has the old store does not start (exit status 78). If the
    command fails or is interrupted, FROM stays in force: run it again.
    """
    configuration = _configuration(file, user)
    from fenced.app.store import endpoint_of
    from fenced.journal.copying import copy as copy_store

    shown = _Progress()

    async def run() -> None:
        old, new = endpoint_of(configuration, source), endpoint_of(configuration, target)
        done = await copy_store(old, new, now=time.time(), progress=shown)
        for name, count in done.rows.items():
            click.echo(f"{name}: {count} rows, equal in both")
        found = "found a complete copy" if done.was_there else "copied"
        click.echo(f"{found}: store {done.store_id} is now at {new.place}")
        click.echo(f"{old.place} is marked as moved. Now set url in [store] of {file}, and start the daemon")

    _run(run())


@command.command("check")
@CONFIG
@USER
@click.argument("url", metavar="URL")
def check(file: Path, user: str | None, url: str) -> None:
    """Say what a PostgreSQL database promises, and what that means for fencing. Changes nothing.

    \b
    fenced store check -c /etc/fenced/fenced.toml postgresql://fenced@db.example.org/fenced

    Login and certificates are those of [store]. Exit status: 0 without errors, 1 with errors, 78 if the file has
    mistakes.
    """
    configuration = _configuration(file, user)
    from fenced.app.store import postgres_settings
    from fenced.model.store_urls import PostgresUrl

    try:
        place = PostgresUrl.parse(url)
    except ValueError as exc:
        raise click.UsageError(f"URL: {exc}") from exc

    async def run() -> bool:
        settings = postgres_settings(configuration, place)
        from fenced.journal.postgres.checking import Level
        from fenced.journal.postgres.checking import check as check_database

        findings = await check_database(settings)
        for finding in findings:
            click.echo(f"{finding.level.value:<8} {finding.what}{f': {finding.meaning}' if finding.meaning else ''}")
        return not any(finding.level is Level.ERROR for finding in findings)

    if not _run(run()):
        sys.exit(EXIT_FAILED)


@command.command("adopt")
@CONFIG
@USER
@click.option(
    "--clone", "is_clone", is_flag=True,
    help="The original goes on elsewhere: give this copy an id of its own, which no proxy obeys yet.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do it without a question.")
def adopt(file: Path, user: str | None, is_clone: bool, yes: bool) -> None:
    """Say that the database of the configuration is this installation's store from now on.

    \b
    fenced store adopt -c /etc/fenced/fenced.toml --user fenced            # a dump that was restored; the original is
                                                                           # gone for good
    fenced store adopt -c /etc/fenced/fenced.toml --user fenced --clone    # a clone, for tests

    Shows first what the database holds, and what this controller knows of its store. Nobody may act on the database;
    standbys may run, and start anew afterwards. It then waits as long as an earlier command may act, and fences no host
    by itself until `fencectl release store`. Exit status: 0 adopted, or nothing to adopt; 1 failed or not confirmed.
    """
    configuration = _configuration(file, user)
    from fenced.cli import store_text
    from fenced.journal import adopting

    state_dir = configuration.state_dir.resolve()
    endpoint = _endpoint(configuration)
    known = _run(adopting.look(endpoint, state_dir))
    for line in store_text.known(known, place=endpoint.place, state_dir=state_dir):
        click.echo(line)
    step = known.step(is_clone=is_clone)
    if step is adopting.Step.NOTHING:
        click.echo(store_text.nothing_to_adopt(known))
        return
    click.echo(store_text.meaning(known, step, is_clone=is_clone))
    _confirm(yes)
    done = _run(adopting.adopt(endpoint, state_dir, known, is_clone=is_clone))
    for line in store_text.adopted(done, step, is_clone=is_clone):
        click.echo(line)


@command.command("upgrade")
@CONFIG
@USER
def upgrade(file: Path, user: str | None) -> None:
    """Let programs write the newest format that all living controllers read.

    \b
    fenced store upgrade -c /etc/fenced/fenced.toml --user fenced

    The last step of an upgrade, when every controller runs the new version: older programs are refused from then on.
    With SQLite the daemon must be stopped. Exit status: 0 the store has the newest format; 1 a controller hinders it,
    or the command failed.
    """
    configuration = _configuration(file, user)
    from fenced.cli import store_text
    from fenced.journal.upgrading import upgrade as upgrade_store

    endpoint = _endpoint(configuration)
    done = _run(upgrade_store(endpoint, lease_seconds=configuration.inventory.daemon.lease_ttl_seconds))
    for line in store_text.upgraded(done):
        click.echo(line)
    if done.hindering:
        sys.exit(EXIT_FAILED)


class _Progress:
    """Prints how far a long copy is, at most once a second."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, name: str, done: int, total: int) -> None:
        if time.monotonic() - self._at >= PROGRESS_SECONDS:
            self._at = time.monotonic()
            click.echo(f"{name}: {done} of {total} rows", err=True)


def _configuration(file: Path, user: str | None) -> Configuration:
    catalogue, machine = driver_catalogue(), own_machine()
    if user is not None:
        become(user)
    loaded = load(file, own_machine=machine, environ=os.environ, catalogue=catalogue, is_outside_unit=True)
    if loaded.configuration is None:
        for line in mistake_lines(loaded):
            click.echo(line, err=True)
        sys.exit(EXIT_CONFIG)
    return loaded.configuration


def _run(work: Coroutine[Any, Any, T]) -> T:
    from fenced.ports.journal import StoreError

    try:
        return asyncio.run(work)
    except (StoreError, ValueError) as exc:
        _fail(str(exc))


def _endpoint(configuration: Configuration) -> "Endpoint":
    """Return the store of the configuration."""
    from fenced.app.store import endpoint_of
    from fenced.ports.journal import StoreError

    try:
        return endpoint_of(configuration, configuration.store.url)
    except (StoreError, ValueError) as exc:
        _fail(str(exc))


def _confirm(is_confirmed: bool) -> None:
    """Ask on a terminal; without one only `--yes` counts."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        _fail("nothing was changed: confirm with --yes, or run it on a terminal")
    if not click.confirm("Go on?", default=False):
        _fail("nothing was changed")


def _fail(why: str) -> NoReturn:
    click.echo(f"fenced store: {why}", err=True)
    sys.exit(EXIT_FAILED)
