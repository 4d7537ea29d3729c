"""`fenced agents [NAME]`: the fence agents of this machine, and the parameters of one.

Knows how to show them, not what they mean. One rule: only agents' metadata is asked for; no device is touched.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from fenced.drivers.agent_metadata import (
    ADDRESS_NAMES,
    PASSWORD_NAMES,
    PLUG_NAMES,
    USERNAME_NAMES,
    AgentMetadata,
    Parameter,
)
from fenced.drivers.agent_parameters import RESERVED
from fenced.drivers.fence_agent import FenceAgents
from fenced.drivers.keeper_client import Keeper
from fenced.ports.devices import DeviceError

DEFAULT_PATH: Final = ("/usr/sbin", "/usr/local/sbin")
OWN_KEYS: Final = {
    **dict.fromkeys(ADDRESS_NAMES, "address"),
    **dict.fromkeys(USERNAME_NAMES, "username"),
    **dict.fromkeys(PASSWORD_NAMES, "password_file"),
}
"""Parameters that have a key of their own in the inventory."""
COLUMNS: Final = ("parameter", "set by", "needed", "type", "default", "meaning")


@click.command()
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.option(
    "--agent-path",
    "directories",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where to look, first hit wins; may be given several times (default: {' '.join(DEFAULT_PATH)}).",
)
def command(name: str | None, is_json: bool, directories: Sequence[Path]) -> None:
    """List the installed fence agents, or the parameters of one."""
    path = directories or tuple(Path(directory) for directory in DEFAULT_PATH)
    if name is None:
        show_all(FenceAgents(agent_path=path, keeper=Keeper(marker="agents")).installed(), is_json=is_json)
        return
    try:
        metadata = asyncio.run(ask(name, path))
    except DeviceError as exc:
        raise click.ClickException(str(exc)) from exc
    if not metadata.is_known:
        raise click.ClickException(f"{name} gives no metadata that can be read; is it a fence agent?")
    show_one(name, metadata, is_json=is_json)


async def ask(name: str, path: Sequence[Path]) -> AgentMetadata:
    """Run the agent for its metadata. Raises BadParameters."""
    async with Keeper(marker=f"agents-{os.getpid()}") as keeper:
        return await FenceAgents(agent_path=path, keeper=keeper).metadata(name)


def show_all(installed: dict[str, Path], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps([{"name": name, "path": str(path)} for name, path in installed.items()]))
        return
    show_rows(("agent", "file"), [(name, str(path)) for name, path in installed.items()])


def show_one(name: str, metadata: AgentMetadata, *, is_json: bool) -> None:
    if is_json:
        parameters = [{**asdict(parameter), "set_by": set_by(parameter)} for parameter in metadata.parameters.values()]
        whole = {"name": name, "description": metadata.description, "actions": sorted(metadata.actions)}
        click.echo(json.dumps({**whole, "parameters": parameters}))
        return
    click.echo(f"{name}: {metadata.description}")
    click.echo(f"actions: {', '.join(sorted(metadata.actions))}")
    current = [parameter for parameter in metadata.parameters.values() if not parameter.is_deprecated]
    show_rows(COLUMNS, [row(parameter) for parameter in current])


def row(parameter: Parameter) -> tuple[str, ...]:
    kind = "|".join(parameter.values) if parameter.values else parameter.kind
    needed = "yes" if parameter.is_required and parameter.name not in RESERVED else ""
    return (parameter.name, set_by(parameter), needed, kind, parameter.default or "", parameter.description)


def set_by(parameter: Parameter) -> str:
    """Where a user says it: a key of the device, its options, or nowhere because we decide."""
    if parameter.name in RESERVED:
        return "fenced"
    if parameter.name in PLUG_NAMES:
        return "options (else the host's name)" if parameter.is_required else "options"
    return OWN_KEYS.get(parameter.name, "options")


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere lines with tabs and no heading, for other programs."""
    if not sys.stdout.isatty():
        for cells in rows:
            click.echo("\t".join(cells))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    Console().print(table)
