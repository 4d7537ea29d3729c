"""What may happen in the model: for each action, the rules that forbid it now (`refusals`) and its effect (`after`).

Looks at one moment only. Each guard is written once, here: the explorer leaves rules out by name, and the monitor of
the simulation's traces calls the same function. Sources: design.md#safety-rules, #power-model.
"""

from collections.abc import Iterator

from tests.formal.model import DEVICES, PATHS, Action, Claim, Command, Device, Does, Kind, Phase, Power, View, World

NEVER = "never"
"""Impossible or meaningless; can't be left out."""


def refusals(world: World, action: Action) -> Iterator[str]:
    """Yield the rules that forbid the action; none: it may happen."""
    if action.is_stale:
        yield "epoch"
        return
    device = world.devices[action.device]
    match action.does:
        case Does.BEGIN:
            if world.phase is not Phase.IDLE:
                yield "one operation"
        case Does.JOIN:
            if world.kind is Kind.ON or world.phase not in {Phase.PROVING, Phase.FENCED, Phase.RESTORING}:
                yield NEVER
        case Does.OFF | Does.ON:
            yield from _command(world, device, action)
        case Does.READ:
            yield from _read(world, device)
        case Does.FENCE:
            yield from _fence(world)
        case Does.ANNOUNCE:
            if action.is_yes and not world.outbox:
                yield "outbox"
            if not action.is_yes and world.claim is Claim.FENCED:
                yield NEVER
        case Does.RESTORE:
            yield from _restore(world)
        case Does.GIVE_BACK:
            if world.phase is not Phase.PROVING:
                yield NEVER
        case Does.STOP:
            if world.phase is Phase.IDLE:
                yield NEVER
        case Does.END:
            yield from _end(world, action)
        case Does.WAIT:
            if world.phase is not Phase.FENCED:
                yield NEVER
        case Does.REVOKE:
            if world.claim is Claim.NONE:
                yield NEVER
        case Does.ARRIVE | Does.ACT | Does.LOSE:
            yield from _travel(device, action)
        case Does.TAKEOVER | Does.HAND:
            pass


def _command(world: World, device: Device, action: Action) -> Iterator[str]:
    if world.phase is not (Phase.RESTORING if action.does is Does.ON else Phase.PROVING):
        yield NEVER
    if action.does is Does.ON and device.may_land(is_on=False):
        yield "settled on"
    if not action.is_recorded:
        yield "record first"


def _read(world: World, device: Device) -> Iterator[str]:
    """Yield what forbids that the device reads OFF and that this counts."""
    if world.phase is Phase.FENCED:
        yield NEVER  # nothing reads it then
    if device.power is not Power.OFF:
        yield "read"
    if device.may_land(is_on=True):
        yield "settled read"


def _fence(world: World) -> Iterator[str]:
    """Yield what forbids a fence, by an operation or (for a host whose fence failed) by the watch."""
    is_by_watch = world.phase is Phase.IDLE and world.claim is Claim.NONE
    if world.phase is not Phase.PROVING and not is_by_watch:
        yield NEVER
    if not any(device.is_read_off for device in world.devices):
        yield NEVER
    if not world.is_proven:
        yield "both devices"


def _restore(world: World) -> Iterator[str]:
    if world.kind is not Kind.RESTART or world.phase not in {Phase.PROVING, Phase.FENCED}:
        yield NEVER
    if world.phase is Phase.PROVING:
        yield "off before on"
    elif not world.is_told:
        yield "announced before on"


def _end(world: World, action: Action) -> Iterator[str]:
    """`is_yes`: the host counts as fenced afterwards."""
    if world.phase is not Phase.CLOSING or (action.is_yes and world.claim is Claim.NONE):
        yield NEVER
    if any(command.is_counted for device in world.devices for command in device.commands):
        yield "settled end"
    if action.is_yes and world.claim is Claim.HELD and any(device.is_in_doubt for device in world.devices):
        yield "doubt"


def _travel(device: Device, action: Action) -> Iterator[str]:
    command = next((command for command in device.commands if command.token == action.token), None)
    if command is None or (action.does is not Does.LOSE and command.is_taken is (action.does is Does.ARRIVE)):
        yield NEVER


# -- effects ----------------------------------------------------------------------------------------------------------


def after(world: World, action: Action, without: frozenset[str] = frozenset()) -> World:
    """Return the world after the action. `without`: rules left out, as far as they are part of an effect."""
    if action.is_stale:
        return _stale(world, action)
    match action.does:
        case Does.BEGIN:
            return _begin(world, action.kind, without)
        case Does.JOIN:
            is_late = action.kind is Kind.OFF and world.phase is Phase.RESTORING
            return world._replace(kind=action.kind, phase=Phase.CLOSING if is_late else world.phase)
        case Does.OFF | Does.ON:
            return _put(world, action.device, _with_command(world.devices[action.device], action, without))
        case Does.READ:
            device = world.devices[action.device]
            return _put(world, action.device, device._replace(is_read_off=True, is_in_doubt=False))
        case Does.FENCE:
            devices = tuple(device._replace(is_in_doubt=False) for device in world.devices)
            phase = Phase.FENCED if world.phase is Phase.PROVING else world.phase
            return world._replace(claim=Claim.FENCED, phase=phase, is_told=False, outbox=True, devices=devices)
        case Does.ANNOUNCE if action.is_yes:
            return world._replace(bus=True, outbox=False, is_told=True)
        case Does.ANNOUNCE:
            return world._replace(bus=False)
        case Does.WAIT:
            return world._replace(is_told=True)
        case Does.RESTORE:
            return world._replace(phase=Phase.RESTORING, claim=_held(world.claim))
        case Does.GIVE_BACK:
            return world._replace(phase=Phase.RESTORING, kind=Kind.ON)
        case Does.STOP:
            return world._replace(phase=Phase.CLOSING)
        case Does.END:
            return _ended(world, is_fenced=action.is_yes, without=without)
        case Does.REVOKE:
            return world._replace(claim=Claim.NONE)
        case Does.TAKEOVER:
            devices = tuple(device._replace(is_read_off=False) for device in world.devices)
            return world._replace(devices=devices, stale=View(world.phase, world.is_proven))
        case Does.HAND:
            power = Power.BY_HAND if action.is_yes else Power.OFF
            return _put(world, action.device, world.devices[action.device]._replace(power=power))
        case _:
            return _put(world, action.device, _travelled(world.devices[action.device], action, without))


def _begin(world: World, kind: Kind, without: frozenset[str]) -> World:
    phase = Phase.RESTORING if kind is Kind.ON else Phase.PROVING
    begun = world._replace(phase=phase, kind=kind, claim=_held(world.claim), is_told=False)
    return begun._replace(devices=tuple(_aged(device, without) for device in world.devices))


def _ended(world: World, *, is_fenced: bool, without: frozenset[str]) -> World:
    devices = tuple(_aged(device, without) for device in world.devices)
    claim = Claim.FENCED if is_fenced else Claim.NONE
    outbox = world.outbox or (is_fenced and world.claim is Claim.HELD)
    return world._replace(phase=Phase.IDLE, claim=claim, is_told=False, outbox=outbox, devices=devices)


def _held(claim: Claim) -> Claim:
    return Claim.HELD if claim is Claim.FENCED else claim


def _aged(device: Device, without: frozenset[str]) -> Device:
    """An operation begins or ends: earlier readings and commands belong to the past."""
    return device._replace(
        is_read_off=device.is_read_off and "fresh read" in without,
        is_in_doubt=False,
        commands=tuple(command._replace(is_old=True) for command in device.commands),
    )


def _with_command(device: Device, action: Action, without: frozenset[str]) -> Device:
    token = action.token or max((command.token for command in device.commands), default=0) + 1
    is_on = action.does is Does.ON
    command = Command(token=token, path=action.path, is_on=is_on, is_counted=action.is_recorded)
    return device._replace(
        is_read_off=device.is_read_off and (not is_on or "fresh read" in without),
        is_in_doubt=device.is_in_doubt or is_on,
        commands=(*device.commands, command),
    )


def _travelled(device: Device, action: Action, without: frozenset[str]) -> Device:
    command = next(command for command in device.commands if command.token == action.token)
    others = tuple(other for other in device.commands if other is not command)
    match action.does:
        case Does.ARRIVE:
            return device._replace(commands=_taken(others, command, without))
        case Does.ACT:
            return device._replace(power=Power.ON if command.is_on else Power.OFF, commands=others)
        case _:
            if "not after" in without and command.is_counted:
                others = (*others, command._replace(is_counted=False))
            return device._replace(commands=others)


def _taken(others: tuple[Command, ...], command: Command, without: frozenset[str]) -> tuple[Command, ...]:
    """The path compares tokens: it will refuse older commands that are still on their way to it, and a second copy
    of this.

    If tokens are not compared, the network's second copy arrives later, long after the answer to the first.
    """
    if "token" in without:
        newest = max(other.token for other in (*others, command)) + 1
        copy = command._replace(token=newest, is_counted=False)
        return (*others, command._replace(is_taken=True), *([copy] if command.is_counted else []))
    kept = (
        other for other in others if other.is_taken or other.path != command.path or other.token > command.token
    )  # fmt: skip
    return (*kept, command._replace(is_taken=True))


def _put(world: World, number: int, device: Device) -> World:
    first, second = world.devices
    return world._replace(devices=(device, second) if number == 0 else (first, device))


def _stale(world: World, action: Action) -> World:
    """Append as a daemon that acts upon what it believed when it lost the lease."""
    match action.does:
        case Does.FENCE:
            return world._replace(phase=Phase.FENCED, claim=Claim.FENCED, outbox=True, stale=None)
        case Does.BEGIN:
            return _begin(world, action.kind, frozenset())._replace(stale=None)
        case _:
            device = _with_command(world.devices[action.device], action, frozenset())
            return _put(world, action.device, device)._replace(stale=None)


# -- all possible actions ---------------------------------------------------------------------------------------------


def actions(world: World, *, pending: int, without: frozenset[str]) -> Iterator[Action]:
    """Yield every action that would change something. `pending`: the maximum of commands on their way to a device."""
    phase, is_idle = world.phase, world.phase is Phase.IDLE
    if is_idle or "one operation" in without:
        yield from (Action(Does.BEGIN, kind=kind) for kind in Kind)
    if not is_idle:
        yield from _of_operation(world)
    for number in DEVICES:
        yield from _of_device(world, number, pending, without)
    if is_idle or phase is Phase.PROVING:
        yield Action(Does.FENCE)
    yield Action(Does.TAKEOVER)
    yield Action(Does.ANNOUNCE, is_yes=True)
    if world.bus:
        yield Action(Does.ANNOUNCE)
    if "watch" not in without and any(device.power for device in world.devices):
        yield Action(Does.REVOKE)
    if "epoch" in without and world.stale is not None:
        yield from _of_stale(world.stale)


def _of_operation(world: World) -> Iterator[Action]:
    if world.kind is not Kind.ON:
        yield Action(Does.JOIN, kind=Kind.OFF if world.kind is Kind.RESTART else Kind.RESTART)
    yield from (Action(does) for does in (Does.RESTORE, Does.GIVE_BACK, Does.WAIT))
    if world.phase is not Phase.CLOSING:
        yield Action(Does.STOP)
    else:
        yield from (Action(Does.END, is_yes=is_yes) for is_yes in (True, False))


def _of_device(world: World, number: int, pending: int, without: frozenset[str]) -> Iterator[Action]:
    device = world.devices[number]
    if not device.is_read_off or device.is_in_doubt:
        yield Action(Does.READ, number)
    if device.power is not Power.OFF:
        yield Action(Does.HAND, number, is_yes=False)
    if device.power is not Power.BY_HAND:
        yield Action(Does.HAND, number, is_yes=True)
    for command in device.commands:
        yield Action(Does.ACT if command.is_taken else Does.ARRIVE, number, command.token)
        yield Action(Does.LOSE, number, command.token)
    if len(device.commands) < pending and world.phase in {Phase.PROVING, Phase.RESTORING}:
        does = Does.ON if world.phase is Phase.RESTORING else Does.OFF
        for path in PATHS:
            yield Action(does, number, path=path)
            if "record first" in without:
                yield Action(does, number, path=path, is_recorded=False)


def _of_stale(view: View) -> Iterator[Action]:
    if view.phase is Phase.PROVING and view.is_proven:
        yield Action(Does.FENCE, is_stale=True)
    if view.phase is Phase.RESTORING:
        yield from (Action(Does.ON, number, is_stale=True) for number in DEVICES)
    if view.phase is Phase.IDLE:
        yield Action(Does.BEGIN, is_stale=True)
