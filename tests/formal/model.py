"""The model: one host with two redundant devices, a journal with a lease epoch, two daemons, and commands on their way.

It says what each actor may do and when, nothing of how the program does it. Time is only "a command can still act" or "it can
no more" (its `not_after` has passed, or its end is known). One rule: `steps` lists everything that may happen next; a guard
that is left out there is a rule that nobody keeps.

Sources: DESIGN section 2 (S1, S3, S5, S8, S13) and section 3 (store, lease).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

DEVICES: Final = (0, 1)
DAEMONS: Final = (0, 1)
PATHS: Final = (0, 1)
"""Proxies: each remembers the tokens that it saw, and none knows another's."""


class Phase(Enum):
    """What the journal says of the host's operation."""

    IDLE = "idle"
    OFF = "off"
    FENCED = "fenced"
    ON = "on"


@dataclass(frozen=True, slots=True)
class Command:
    """A power command on its way: it may still act, until it landed, was refused, or can act no more."""

    device: int
    is_on: bool
    token: int
    path: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """One controller. `epoch` 0: it does not run. `read_off`: devices that it read OFF in this operation and life."""

    epoch: int = 0
    read_off: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class World:
    """Everything. `recorded`: commands that are journalled and were not sent yet, by the daemon that may send them.

    `announced`: the token under which the bus was told that the host is fenced; 0: it was not, or it was told otherwise.
    """

    epoch: int = 0
    next_token: int = 1
    phase: Phase = Phase.IDLE
    is_announced: bool = False
    on_recorded: frozenset[int] = frozenset()
    is_on: tuple[bool, ...] = (True, True)
    daemons: tuple[Daemon, ...] = (Daemon(), Daemon())
    recorded: frozenset[tuple[int, Command]] = frozenset()
    flying: frozenset[Command] = frozenset()
    highest: tuple[tuple[int, ...], ...] = ((0, 0), (0, 0))
    """By path, then by device."""
    operations: int = 0
    commands: int = 0
    starts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far it is explored, and which rule is left out (to see that the rule is needed)."""

    operations: int = 2
    commands: int = 4
    starts: int = 3
    without: str = ""


RULES: Final = (
    "settled read",
    "settled on",
    "both devices",
    "fenced before on",
    "announced before on",
    "epoch",
    "token",
    "read",
)
"""Guards that `Bounds.without` can leave out."""

Step = tuple[str, World]


def violations(world: World) -> list[str]:
    """What may never be: the host is announced as fenced (or may be, for it is journalled) and has power."""
    found = []
    if world.phase is Phase.FENCED and any(world.is_on):
        found.append("S1: journalled as fenced and a device is ON")
    if world.phase is Phase.FENCED and any(command.is_on for command in world.flying):
        found.append("S5: journalled as fenced and an ON may still land")
    if world.is_announced and world.phase not in {Phase.FENCED, Phase.ON}:
        found.append("S3: announced and not journalled")
    for device in DEVICES:
        if world.phase is Phase.FENCED and device in world.on_recorded:
            found.append("S8: an ON is recorded for a host that counts as fenced")
    return found


def steps(world: World, bounds: Bounds) -> Iterator[Step]:
    """Everything that may happen next."""
    for number in DAEMONS:
        yield from _of_daemon(world, number, bounds)
    for command in world.flying:
        yield f"land {_named(command)}", _land(world, command, bounds)
        yield f"expire {_named(command)}", replace(world, flying=world.flying - {command})


def _of_daemon(world: World, number: int, bounds: Bounds) -> Iterator[Step]:
    daemon = world.daemons[number]
    if world.starts < bounds.starts:
        yield f"daemon {number} starts", _start(world, number)
    if daemon.epoch == 0:
        return
    yield f"daemon {number} crashes", _crash(world, number)
    for owner, command in world.recorded:
        if owner == number:
            yield (
                f"daemon {number} sends {_named(command)}",
                replace(world, recorded=world.recorded - {(owner, command)}, flying=world.flying | {command}),
            )
    yield from _reads(world, number, daemon, bounds)
    if daemon.epoch == world.epoch or bounds.without == "epoch":
        yield from _appends(world, number, daemon, bounds)


def _reads(world: World, number: int, daemon: Daemon, bounds: Bounds) -> Iterator[Step]:
    for device in DEVICES:
        if world.phase is not Phase.OFF or device in daemon.read_off:
            continue
        is_settled = not _may_act(world, device, is_on=True) or bounds.without == "settled read"
        if (not world.is_on[device] and is_settled) or bounds.without == "read":
            read = replace(daemon, read_off=daemon.read_off | {device})
            yield f"daemon {number} reads {device} off", _with(world, number, read)


def _appends(world: World, number: int, daemon: Daemon, bounds: Bounds) -> Iterator[Step]:
    """What only the holder of the newest epoch may write; the record comes first, the command after it (S3)."""
    if world.phase is Phase.IDLE and world.operations < bounds.operations:
        begun = replace(world, phase=Phase.OFF, operations=world.operations + 1)
        yield f"daemon {number} records an operation", _forget_reads(begun)
    if world.phase is Phase.OFF:
        yield from _records(world, number, bounds, is_on=False)
        needed = 1 if bounds.without == "both devices" else len(DEVICES)
        is_proven = len(daemon.read_off) >= needed
        if is_proven and (not _any_on(world) or bounds.without == "settled read"):
            yield f"daemon {number} records fenced", _forget_reads(replace(world, phase=Phase.FENCED))
        if bounds.without == "fenced before on":
            yield f"daemon {number} records that it restores", replace(world, phase=Phase.ON)
    if world.phase is Phase.FENCED:
        yield f"daemon {number} announces", replace(world, is_announced=True)
        is_free = world.is_announced or bounds.without == "announced before on"
        if is_free:
            yield f"daemon {number} records that it restores", replace(world, phase=Phase.ON)
    if world.phase is Phase.ON:
        yield from _records(world, number, bounds, is_on=True)
        if not _pending(world):
            over = replace(world, phase=Phase.IDLE, is_announced=False, on_recorded=frozenset())
            yield f"daemon {number} ends the operation", _forget_reads(over)


def _records(world: World, number: int, bounds: Bounds, *, is_on: bool) -> Iterator[Step]:
    """A command becomes durable with its token; it may be sent from then on, by whoever recorded it, and by nobody else."""
    if world.commands >= bounds.commands:
        return
    for device in DEVICES:
        is_settled = not _may_act(world, device, is_on=False) or bounds.without == "settled on"
        if is_on and not is_settled:
            continue
        for path in PATHS:
            command = Command(device=device, is_on=is_on, token=world.next_token, path=path)
            done = replace(
                world,
                recorded=world.recorded | {(number, command)},
                next_token=world.next_token + 1,
                commands=world.commands + 1,
                on_recorded=world.on_recorded | {device} if is_on else world.on_recorded,
            )
            yield f"daemon {number} records {_named(command)}", done


def _start(world: World, number: int) -> World:
    """A new epoch; whatever an earlier life of it had recorded and not sent is never sent."""
    epoch = world.epoch + 1
    kept = frozenset(entry for entry in world.recorded if entry[0] != number)
    begun = replace(world, epoch=epoch, starts=world.starts + 1, recorded=kept)
    return _with(begun, number, Daemon(epoch=epoch))


def _crash(world: World, number: int) -> World:
    kept = frozenset(entry for entry in world.recorded if entry[0] != number)
    return _with(replace(world, recorded=kept), number, Daemon())


def _land(world: World, command: Command, bounds: Bounds) -> World:
    """The path compares the token last; what it takes acts on the device."""
    left = replace(world, flying=world.flying - {command})
    if command.token <= world.highest[command.path][command.device] and bounds.without != "token":
        return left
    seen = list(world.highest[command.path])
    seen[command.device] = max(seen[command.device], command.token)
    highest = tuple(tuple(seen) if path == command.path else tokens for path, tokens in enumerate(world.highest))
    is_on = tuple(command.is_on if device == command.device else was for device, was in enumerate(world.is_on))
    return replace(left, highest=highest, is_on=is_on)


def _may_act(world: World, device: int, *, is_on: bool) -> bool:
    """Whether a command of that kind for the device is journalled and may still act, whoever sent it."""
    return any(command.device == device and command.is_on is is_on for command in _pending(world))


def _any_on(world: World) -> bool:
    return any(command.is_on for command in _pending(world))


def _pending(world: World) -> frozenset[Command]:
    return world.flying | {command for _, command in world.recorded}


def _with(world: World, number: int, daemon: Daemon) -> World:
    daemons = tuple(daemon if index == number else other for index, other in enumerate(world.daemons))
    return replace(world, daemons=daemons)


def _forget_reads(world: World) -> World:
    """What was read before an operation, or before its end, proves nothing later."""
    return replace(world, daemons=tuple(replace(daemon, read_off=frozenset()) for daemon in world.daemons))


def _named(command: Command) -> str:
    return f"{'on' if command.is_on else 'off'} {command.device} token {command.token} by path {command.path}"
