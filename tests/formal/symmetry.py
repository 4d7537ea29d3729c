"""Unify worlds that differ only in names: put devices, paths and tokens into a fixed order,
and forget what can't matter.

Worlds that become equal here must have the same futures.
"""

import functools

from tests.formal.model import Claim, Command, Device, Phase, Power, World


def canonical(world: World, without: frozenset[str]) -> World:
    """Return the representative of all equivalent worlds."""
    phase, claim, kind = world.phase, world.claim, world.kind
    is_reading = (phase is Phase.PROVING or (phase is Phase.IDLE and claim is Claim.NONE)) or "fresh read" in without
    is_giving = phase in {Phase.RESTORING, Phase.CLOSING}
    first, second = (_device(device, claim, is_reading=is_reading, is_giving=is_giving) for device in world.devices)
    if is_giving or phase is Phase.IDLE:
        kind = type(kind).OFF
    return World(
        phase,
        kind,
        claim,
        world.is_told and phase is Phase.FENCED,
        world.outbox,
        world.bus,
        (first, second) if first <= second else (second, first),
        world.stale if "epoch" in without else None,
    )


@functools.lru_cache(maxsize=100_000)
def _device(device: Device, claim: Claim, *, is_reading: bool, is_giving: bool) -> Device:
    power, is_read_off, is_in_doubt, commands = device
    is_read_off = is_read_off and is_reading
    if power is Power.BY_HAND and claim is Claim.NONE and not is_read_off:
        power = Power.ON  # every reading will show it
    return Device(power, is_read_off, is_in_doubt and is_giving, _commands(commands))


def _commands(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    """First the accepted commands, whose order and path do not matter any more, then those on their way,
    path by path.
    """
    if not commands:
        return commands
    taken = sorted(command._replace(token=0, path=0) for command in commands if command.is_taken)
    by_path: dict[int, list[Command]] = {}
    for command in commands:
        if not command.is_taken:
            by_path.setdefault(command.path, []).append(command)
    queues = sorted([command._replace(token=0, path=0) for command in sorted(queue)] for queue in by_path.values())
    flat = [(0, command) for command in taken]
    flat += [(path, command) for path, queue in enumerate(queues) for command in queue]
    return tuple(command._replace(token=token, path=path) for token, (path, command) in enumerate(flat, start=1))
