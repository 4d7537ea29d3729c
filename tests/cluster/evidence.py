"""What a run leaves behind, read once it is quiet: calls, the proxies' logs, the journal, and what the bus carried.

Times are of the wall clock, which all processes share.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.cluster.bed import Bed, Life
from tests.cluster.chassis import Call, Change
from tests.cluster.wire import Carried

JUST_BEFORE_SECONDS = 0.001
SLACK_SECONDS = 0.1
"""A log line is written a little after what it reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A power command as its proxy logged it at its end. `started`: when the proxy received it."""

    proxy: str
    what: str
    plug: str
    epoch: int
    sequence: int
    started: float
    ended: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A proxy refuses every older epoch from now on."""

    proxy: str
    at: float
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A standby took the lease."""

    controller: str
    at: float
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An event that is durable in the journal."""

    id: str
    kind: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`plugs`: those of each host. `open_operations`: ids of those that did not end."""

    plugs: Mapping[str, Sequence[str]]
    lives: Sequence[Life]
    calls: Sequence[Call]
    changes: Sequence[Change]
    commands: Sequence[Command]
    floors: Sequence[Floor]
    takings: Sequence[Taking]
    carried: Sequence[Carried]
    kept: Sequence[Kept]
    open_operations: Sequence[str]

    def switching(self) -> Iterator[tuple[Call, Command | None]]:
        """Return each ON and OFF with the command that it carried out."""
        for call in self.calls:
            if call.action in {"on", "off"}:
                yield call, self._command_of(call)

    def died(self, host: str) -> float | None:
        """Return when a host died first."""
        return min((life.at for life in self.lives if life.host == host and not life.is_alive), default=None)

    def is_alive(self, host: str, at: float) -> bool:
        """Return whether a host ran just before a moment. All run at first."""
        before = [life for life in self.lives if life.host == host and life.at < at - JUST_BEFORE_SECONDS]
        return before[-1].is_alive if before else True

    def _command_of(self, call: Call) -> Command | None:
        """A proxy starts a plug's commands one after the other, so the first to end after the call is its command."""
        assert call.ended is not None
        found = [
            command
            for command in self.commands
            if (command.proxy, command.what, command.plug) == (call.proxy, call.action, call.plug)
            and command.outcome != "refused"
            and command.started - SLACK_SECONDS <= call.started
            and call.ended <= command.ended + SLACK_SECONDS
        ]
        return min(found, key=lambda command: command.ended, default=None)


async def collect(it: Bed) -> Evidence:
    """Read everything. The agents' calls have ended."""
    commands: list[Command] = []
    floors: list[Floor] = []
    for proxy, program in it.proxies.items():
        for line in lines(program.log):
            if line.get("event") == "power command":
                commands.append(_command(proxy, line))
            elif line.get("event") == "floor raised":
                floors.append(Floor(proxy=proxy, at=moment(line), epoch=int(str(line["epoch"]))))
    takings = [
        Taking(controller=name, at=moment(line), epoch=int(str(line["epoch"])))
        for name, controller in it.controllers.items()
        for line in lines(controller.program.log)
        if line.get("event") == "lease_taken"
    ]
    return Evidence(
        plugs=it.plugs, lives=list(it.lives), calls=list(it.chassis.calls), changes=list(it.chassis.changes),
        commands=commands, floors=floors, takings=takings, carried=list(it.wire.carried), kept=await kept(it),
        open_operations=await open_operations(it),
    )  # fmt: skip


async def kept(it: Bed) -> list[Kept]:
    """Return the events of the journal, also those that wait for the bus."""
    rows = await it.databases.now.rows("SELECT payload FROM outbox WHERE is_event ORDER BY sequence")
    bodies = [json.loads(row["payload"]) for row in rows]
    return [
        Kept(id=body["id"], kind=body["type"].removeprefix("io.fenced."), host=body.get("subject", ""))
        for body in bodies
    ]


async def open_operations(it: Bed) -> list[str]:
    rows = await it.databases.now.rows("SELECT id FROM operations WHERE ended IS NULL ORDER BY number")
    return [str(row["id"]) for row in rows]


async def unsent(it: Bed) -> int:
    """Return how many messages the broker has not acknowledged."""
    rows = await it.databases.now.rows("SELECT count(*) AS count FROM outbox WHERE NOT is_delivered")
    return int(rows[0]["count"])


def lines(log: str) -> Iterator[dict[str, object]]:
    """Return the lines of a program's log; what is no JSON, such as a traceback, has no time."""
    for line in log.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def moment(line: Mapping[str, object]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def _command(proxy: str, line: Mapping[str, object]) -> Command:
    ended = moment(line)
    epoch, _, sequence = str(line["token"]).partition("-")
    return Command(
        proxy=proxy, what=str(line["what"]), plug=str(line["plug"]).rpartition("|")[2], epoch=int(epoch),
        sequence=int(sequence), started=ended - float(str(line["milliseconds"])) / 1000, ended=ended,
        outcome=str(line["outcome"]),
    )  # fmt: skip
