"""What must hold in the model: at each moment, for each step, and for every run (it can always come to a good end).

Checks only results against the truth, never whether a guard was obeyed.
"""

from tests.formal.model import Action, Claim, Does, Kind, Phase, Power, World

NOT_OURS = frozenset({Does.BEGIN, Does.JOIN, Does.HAND})
"""Steps that can't be relied on: a good end must be reachable without them."""


def broken(before: World, action: Action, world: World) -> str | None:
    """Return the promise that this step breaks."""
    return _of_moment(world) or _of_step(before, action)


def _of_moment(world: World) -> str | None:
    if world.claim is not Claim.FENCED:
        return None
    if any(device.power is Power.ON for device in world.devices):
        return "S1: the host counts as fenced and a device is ON"
    if any(command.is_on for device in world.devices for command in device.commands):
        return "S5: the host counts as fenced and an ON may still land"
    return None


def _of_step(before: World, action: Action) -> str | None:
    match action.does:
        case Does.ACT:
            device = before.devices[action.device]
            command = next(command for command in device.commands if command.token == action.token)
            if command.is_old:
                return "S14: a command changes a device after its operation ended"
            if not command.is_on and device.is_in_doubt:
                return "S5: an OFF lands after the ON of the same device was sent"
        case Does.BEGIN if before.phase is not Phase.IDLE:
            return "S4: two operations run at once"
        case Does.ANNOUNCE if action.is_yes and not (before.outbox or before.claim is Claim.FENCED):
            return "S3: the bus is told that the host is fenced, the journal says no such thing"
        case Does.RESTORE if before.phase is Phase.PROVING and any(device.power for device in before.devices):
            return "S8: a restart gives power back to a host that was not off"
        case Does.RESTORE if before.kind is Kind.RESTART and not before.is_told:
            return "S8: power is given back before anybody could know that it was gone"
        case _:
            pass
    return None


def is_good_end(world: World) -> bool:
    """Nothing runs, nothing is on its way, and everyone knows the truth."""
    is_quiet = world.phase is Phase.IDLE and not any(device.commands for device in world.devices)
    is_true = world.claim is not Claim.FENCED or not any(device.power for device in world.devices)
    return is_quiet and is_true and not world.outbox and world.bus is (world.claim is Claim.FENCED)
