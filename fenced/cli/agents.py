"""`fenced agents [NAME]`: list the fence agents of this machine, or the parameters of one.

Only reads agents' metadata; it reaches no device.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fenced.cli.asking import show_progress
from fenced.cli.echo import say
from fenced.drivers.agents.descriptions import secret_names, set_by
from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.agents.kinds import default_kind
from fenced.drivers.agents.metadata import PLUG_NAMES, AgentMetadata, Parameter
from fenced.drivers.agents.options import RESERVED, reaches, rules_for
from fenced.drivers.agents.reviews import NO_POWER, Standing, cautions_of, judge
from fenced.drivers.catalogue import ask
from fenced.drivers.keeper.client import Keeper
from fenced.model.drivers import Effect
from fenced.model.text import one_line
from fenced.ports.devices import DeviceError

DEFAULT_PATH: Final = ("/usr/sbin", "/usr/local/sbin")
COLUMNS: Final = ("agent", "kind", "controls", "usable", "actions", "about", "review")
PARAMETER_COLUMNS: Final = (
    "parameter", "set by", "needed", "type", "default", "meaning", "to what OFF proves", "reaches",
)  # fmt: skip
NEEDS_WORD: Final = "with cuts_power = true"
SILENT_ACTIONS: Final = frozenset({"metadata", "manpage", "monitor", "validate-all", "list", "list-status", "diag"})
"""Actions that the list leaves out: they don't show whether an agent is usable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One installed agent. `kind`: power, fabric (cuts access, not power) or other; `why`: why it is not usable.

    `review`: reviewed, not reviewed (it needs `cuts_power = true`) or refused; `review_why`: the reason.
    """

    name: str
    path: str
    kind: str
    controls: str
    usable: bool
    why: str
    actions: tuple[str, ...]
    description: str
    review: str
    review_why: str


@click.command()
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.option(
    "--agent-path",
    "directories",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Folder to search; the first hit wins; may be repeated (default: {' '.join(DEFAULT_PATH)}).",
)
def command(name: str | None, is_json: bool, directories: Sequence[Path]) -> None:
    """List the installed fence agents, or the parameters of one."""
    path = directories or tuple(Path(directory) for directory in DEFAULT_PATH)
    agents = FenceAgents(agent_path=path, keeper=Keeper(marker="agents"))
    kept_in = cache_directory()
    if name is None:
        installed = agents.installed()
        asked = ask(installed, agent_path=path, kept_in=kept_in, progress=show_progress)
        show_all([found(name, path, asked.get(name)) for name, path in installed.items()], is_json=is_json)
        return
    try:
        agents.find(name)
    except DeviceError as exc:
        raise click.ClickException(str(exc)) from exc
    metadata = ask([name], agent_path=path, kept_in=kept_in).get(name, AgentMetadata())
    if not metadata.is_known:
        why = f" ({metadata.why_unknown})" if metadata.why_unknown else ""
        raise click.ClickException(f"{name} gives no readable metadata{why}: check that it is a fence agent")
    show_one(name, metadata, is_json=is_json)


def cache_directory() -> Path | None:
    """Return the user's cache folder; None if there can be none."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/nonexistent") / ".cache")
    try:
        (directory / "fenced").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return directory / "fenced"


def found(name: str, path: Path, asked: AgentMetadata | None) -> Found:
    """Return the list's entry for one agent; `asked` is None without metadata."""
    metadata = asked or AgentMetadata()
    judgement = judge(name, metadata)
    is_refused = judgement.standing is Standing.REFUSED
    why = judgement.why if is_refused else ""
    kind = "fabric" if metadata.is_unfencing else "other" if name in NO_POWER else "power"
    if not (why or metadata.is_known):
        why = f"its metadata can't be read: {metadata.why_unknown}"
    return Found(
        name=name,
        path=str(path),
        kind=kind,
        controls=default_kind(name).value if not why else "",
        usable=not is_refused,
        why=why,
        actions=tuple(sorted(metadata.actions)),
        description=metadata.description,
        review=judgement.standing.value,
        review_why="; but ".join((judgement.why, *cautions_of(name))),
    )


def show_all(agents: Sequence[Found], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps([asdict(agent) for agent in agents]))
        return
    show_rows(COLUMNS, [listed(agent) for agent in agents])


def listed(agent: Found) -> tuple[str, ...]:
    """Return one row of the list."""
    is_in_need = agent.review == Standing.NOT_REVIEWED.value
    usable = NEEDS_WORD if is_in_need else "yes" if agent.usable else "no"
    actions = ", ".join(action for action in agent.actions if action not in SILENT_ACTIONS)
    return (
        agent.name,
        agent.kind,
        agent.controls,
        f"{usable}: {agent.why}" if agent.why else usable,
        actions,
        agent.description,
        f"{agent.review}: {agent.review_why}",
    )


def show_one(name: str, metadata: AgentMetadata, *, is_json: bool) -> None:
    judgement = judge(name, metadata)
    why = judgement.why if judgement.standing is Standing.REFUSED else ""
    review = {"review": judgement.standing.value, "review_why": "; but ".join((judgement.why, *cautions_of(name)))}
    if is_json:
        secrets = set(secret_names(metadata))
        parameters = [
            {
                **asdict(parameter),
                "set_by": where_set(parameter, secrets),
                "proof": proof_of(name, parameter, metadata),
                "reaches": reached_by(name, parameter),
            }
            for parameter in metadata.parameters.values()
        ]
        whole = {"name": name, "description": metadata.description, "actions": sorted(metadata.actions)}
        click.echo(json.dumps({**whole, "usable": not why, "why": why, **review, "parameters": parameters}))
        return
    say(f"{name}: {metadata.description}")
    say(f"actions: {', '.join(sorted(metadata.actions))}")
    say("{review}: {review_why}".format(**review))
    if why:
        say(f"not usable: {why}")
    elif judgement.standing is Standing.NOT_REVIEWED:
        say(f"usable {NEEDS_WORD}, with which you vouch for it")
    secrets = set(secret_names(metadata))
    current = [parameter for parameter in metadata.parameters.values() if not parameter.is_deprecated]
    rows = [
        (*row(parameter, secrets), proof_of(name, parameter, metadata), ", ".join(reached_by(name, parameter)))
        for parameter in current
    ]
    show_rows(PARAMETER_COLUMNS, rows)


def row(parameter: Parameter, secrets: set[str]) -> tuple[str, ...]:
    kind = "|".join(parameter.values) if parameter.values else parameter.kind
    needed = "yes" if parameter.is_required and parameter.name not in RESERVED else ""
    place = where_set(parameter, secrets)
    return (parameter.name, place, needed, kind, parameter.default or "", parameter.description)


def proof_of(name: str, parameter: Parameter, metadata: AgentMetadata) -> str:
    """Return how the parameter changes what OFF proves; "" if it does not, or if fenced sets it."""
    if parameter.name in RESERVED:
        return ""
    names = {plain.replace("-", "_").lower() for plain in metadata.names_of(parameter.name)}
    rules = [rule for plain in sorted(names) for rule in rules_for(name).get(plain, ())]
    if not rules:
        return "not reviewed"
    words = {Effect.BREAKS: "refused", Effect.WEAKENS: "weakens it"}
    return "; ".join(
        f"{words[rule.effect]}{' as ' if rule.values else ''}{' or '.join(sorted(rule.values))}: {rule.why}"
        for rule in rules
        if rule.effect in words
    )


def reached_by(name: str, parameter: Parameter) -> list[str]:
    """Return where else its value goes, besides the agent itself."""
    return sorted(reach.value for reach in reaches(name, parameter.name))


def where_set(parameter: Parameter, secrets: set[str]) -> str:
    """Return where a user sets it: a key of the device, its options or secrets, or nowhere because fenced sets it."""
    if parameter.name in RESERVED:
        return "fenced"
    if parameter.name in PLUG_NAMES:
        return "options (else the host's name)" if parameter.is_required else "options"
    return set_by(parameter.name) or ("secrets" if parameter.name in secrets else "options")


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal; elsewhere lines with tabs and no heading, for other programs."""
    if not sys.stdout.isatty():
        for cells in rows:
            click.echo("\t".join(one_line(cell) for cell in cells))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for cells in rows:
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    Console().print(table)
