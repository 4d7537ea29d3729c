"""`fenced import SOURCE FILE`: an inventory from what another program knows. `imports` does the work.

Exit 0: everything is in the inventory. 3: it is written, and what was lost is listed. 78: it is written, but
`fenced check-config` would refuse it. 1: nothing is written.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from fenced.cli.echo import tell
from fenced.imports.shape import SOURCE_BYTES_MAX, Imported, NotImported

EXIT_LOST: Final = 3
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h."""

_Function = Callable[..., None]


@click.group("import")
def command() -> None:
    """Make an inventory from Pacemaker, oVirt, medik8s or a table, and list everything that is lost."""


def _options(function: _Function) -> _Function:
    """Add what every source takes. FILE `-` is standard input."""
    for add in (
        click.option("--native", is_flag=True, help="Use native drivers where they can; says what changes."),
        click.option("--force", "is_forced", is_flag=True, help="Replace files that exist."),
        click.option(
            "--secrets", "secrets", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
            help="Write passwords of the source to files in DIR, mode 400.",
        ),
        click.option(
            "-o", "--output", "output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
            help="Write the inventory to FILE. Default: standard output.",
        ),
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True)),
    ):  # fmt: skip
        function = add(function)
    return function


@command.command("pacemaker")
@_options
@click.option("--cluster", default="", metavar="NAME", help="Name of the cluster. Default: the CIB's cluster-name.")
def pacemaker(cluster: str, **given: Any) -> None:
    """Import a CIB, as `cibadmin --query` writes it.

    \b
    cibadmin --query > cib.xml
    fenced import pacemaker cib.xml -o inventory/cluster-1.toml
    """
    from fenced.imports.pacemaker import import_cib

    _run("pacemaker", lambda content, what: import_cib(content, what=what, cluster=cluster), **given)


@command.command("ovirt")
@_options
def ovirt(**given: Any) -> None:
    """Import the hosts of an oVirt engine, as its REST API returns them in JSON or XML.

    \b
    curl -H 'Accept: application/json' ... 'https://ENGINE/ovirt-engine/api/hosts?follow=cluster,fenceagents'
    """
    from fenced.imports.ovirt import import_ovirt

    _run("ovirt", lambda content, what: import_ovirt(content, what=what), **given)


@command.command("medik8s")
@_options
def medik8s(**given: Any) -> None:
    """Import medik8s' templates, health checks, nodes and secrets, as `kubectl get -o yaml` writes them."""
    from fenced.imports.medik8s import import_medik8s

    _run("medik8s", lambda content, what: import_medik8s(content, what=what), **given)


@command.command("csv")
@_options
def csv(**given: Any) -> None:
    """Import a table with a header row: host, address, cluster, rack, driver, device_address, username, plug, level."""
    from fenced.imports.csv_table import import_csv

    _run("csv", lambda content, what: import_csv(content, what=what), **given)


def _run(
    source: str,
    read: Callable[[bytes, str], Imported],
    *,
    files: Sequence[Path],
    output: Path | None,
    secrets: Path | None,
    is_forced: bool,
    native: bool,
) -> None:
    from fenced.imports.native import with_natives

    joiner = b"\n---\n" if source == "medik8s" else b""
    if len(files) > 1 and not joiner:
        raise click.UsageError(f"{source} takes one FILE; run the import once for each")
    try:
        what = " ".join("standard input" if str(file) == "-" else str(file) for file in files)
        imported = read(joiner.join(_content(file) for file in files), what)
        if native:
            imported = with_natives(imported)
        sys.exit(_write(source, what, imported, output=output, secrets=secrets, is_forced=is_forced))
    except NotImported as exc:
        raise click.ClickException(str(exc)) from exc


def _content(file: Path) -> bytes:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(SOURCE_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(SOURCE_BYTES_MAX + 1)
    except OSError as exc:
        raise NotImported(f"{file}: can't be read: {exc.strerror}") from exc
    if len(content) > SOURCE_BYTES_MAX:
        raise NotImported(f"{file}: is larger than {SOURCE_BYTES_MAX} bytes")
    return content


def _write(
    source: str, what: str, imported: Imported, *, output: Path | None, secrets: Path | None, is_forced: bool
) -> int:
    """Write everything, print what was lost and what check-config says, and return the exit status."""
    from fenced.app.own_machine import own_machine
    from fenced.cli.asking import driver_catalogue
    from fenced.imports import writing
    from fenced.imports.checking import check

    files = list({file.name: file for file in writing.secret_files(imported).values()}.values())
    folder = writing.SECRETS if secrets is None else _folder(secrets, output)
    lost = [f"{'!! ' if each.is_loud else ''}{each.sentence}" for each in imported.losses if not each.is_note]
    head = (
        f"Written by `fenced import {source}` from {what}.",
        *(["", "Lost:", *(f"- {line}" for line in lost)] if lost else ["Nothing was lost."]),
    )
    text = writing.text(imported, head=head, secrets=folder)
    paths = [] if output is None else [output]
    paths += [] if secrets is None else [secrets / file.name for file in files if file.secret is not None]
    if not is_forced and (why := writing.why_not_written(paths)):
        raise NotImported(why)
    if secrets is not None:
        writing.write_secrets(secrets, files)
    if output is None:
        click.echo(text, nl=False)
    else:
        writing.write(output, text)
    for each in imported.losses:
        tell(f"{'note' if each.is_note else 'LOST' if each.is_loud else 'lost'}: {each.sentence}")
    for file in files:
        if secrets is None or file.secret is None:
            known = "" if file.secret is None else " (its value is in the source: --secrets DIR writes it)"
            tell(f"make: {folder}/{file.name}, a secret on one line, owner fenced, mode 400{known}")
    errors, warnings = check(
        imported, name=str(output or "inventory"), catalogue=driver_catalogue(), own_machine=own_machine()
    )
    for mistake in errors:
        tell(f"ERROR: {mistake}")
    for mistake in warnings:
        tell(f"warning: {mistake}")
    devices = sum(len(host.devices) for host in imported.hosts)
    tell(f"{len(imported.hosts)} hosts, {devices} devices, {len(lost)} lost, {len(errors)} errors")
    return EXIT_CONFIG if errors else EXIT_LOST if lost else 0


def _folder(secrets: Path, output: Path | None) -> str:
    """Return the folder as the inventory names it: relative to its file where it is below, else absolute."""
    absolute = secrets.absolute()
    if output is not None and absolute.is_relative_to(output.absolute().parent):
        return str(absolute.relative_to(output.absolute().parent))
    return str(absolute)
