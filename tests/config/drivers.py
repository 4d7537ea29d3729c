"""Catalogues for configurations: native drivers, invented ones, and agents without metadata or with a test's."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fenced.drivers.agents.metadata import AgentMetadata, parse_metadata
from fenced.drivers.catalogue import describing, natives
from fenced.model.drivers import Describe, DriverDescription, Option, OptionKind
from fenced.model.power import Kind


class MuteAgents:
    """Every agent is found, without metadata, and without a warning about that."""

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        found = {name for name in names if any((Path(directory) / name).is_file() for directory in agent_path)}
        describe = describing(dict.fromkeys(found, AgentMetadata()))
        return lambda name: replace(describe(name), cautions=())

    def natives(self) -> Sequence[DriverDescription]:
        return natives()


class Told:
    """Exactly these native drivers, and these agents with their metadata as XML."""

    def __init__(self, *ours: DriverDescription, agents: Mapping[str, str] | None = None) -> None:
        self._ours = {description.name: description for description in ours}
        self._agents = {name: parse_metadata(text.encode()) for name, text in (agents or {}).items()}

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        others: Callable[[str], DriverDescription] = describing(self._agents)
        return lambda name: self._ours[name] if name in self._ours else others(name)

    def natives(self) -> Sequence[DriverDescription]:
        return tuple(self._ours.values())


RACK = DriverDescription(
    name="rack",
    about="an outlet, made for a test",
    kind=Kind.OUTLET,
    options=(
        Option(name="outlet", kind=OptionKind.INTEGER, least=1, most=48, is_required=True),
        Option(name="port", kind=OptionKind.INTEGER, least=1, most=65535),
        Option(name="version", choices=("1", "2c", "3")),
        Option(name="wait", kind=OptionKind.NUMBER, least=0),
        Option(name="fast", kind=OptionKind.BOOLEAN),
        Option(name="old_version", is_deprecated=True, renamed_to="version"),
        Option(name="bank"),
    ),
    secrets=("privacy",),
    plug_options=("outlet",),
    qualifiers=("bank",),
    default_port=161,
    settle_seconds=7,
)
BOARD = DriverDescription(
    name="board",
    about="a BMC that tells what machine it is, made for a test",
    kind=Kind.CHASSIS,
    is_one_plug=True,
    can_identify=True,
    settle_seconds=60,
)
