"""Sums up an operation's devices: the host's power, which devices must be restored, and how many of them are."""

from fenced.core.durable.state import DeviceRun, Operation, Restored
from fenced.model.names import DeviceName
from fenced.model.power import Action, Kind, Power


def host_power(operation: Operation) -> Power:
    """Return OFF: some level is all OFF and no chassis ON.

    ON: a chassis is ON (without chassis: any outlet). Else UNKNOWN.
    """
    runs = speaking(operation)
    chassis = [run for run in runs if run.kind is Kind.CHASSIS]
    if is_contradiction(operation):
        return Power.UNKNOWN
    if any(run.says is Power.ON for run in chassis):
        return Power.ON
    for level in sorted({run.level for run in runs}):
        if all(run.says is Power.OFF for run in runs if run.level == level):
            return Power.OFF
    if not chassis and any(run.says is Power.ON for run in runs):
        return Power.ON
    return Power.UNKNOWN


def dark_since(operation: Operation) -> float | None:
    """Return since when every device of the operation's level reads OFF without a break; None: one does not."""
    runs = operation.of_level
    if not runs or any(run.says is not Power.OFF or run.same_reads == 0 for run in runs):
        return None
    return max(run.same_since for run in runs)


def speaking(operation: Operation) -> tuple[DeviceRun, ...]:
    """Return the devices whose last reading still counts: not a chassis that read OFF before the last ON ended."""
    lit_at = max((run.command_ended_at or 0.0 for run in operation.devices if run.is_switched_on), default=0.0)
    return tuple(run for run in operation.devices if not _is_outdated(run, lit_at))


def _is_outdated(run: DeviceRun, lit_at: float) -> bool:
    is_off_chassis = run.kind is Kind.CHASSIS and run.power is Power.OFF and not run.is_switched_on
    return is_off_chassis and (run.read_at or 0.0) < lit_at


def is_contradiction(operation: Operation) -> bool:
    """Return whether all outlets read OFF and a chassis ON: one of them is wrong (design.md#power-model)."""
    outlets = [run for run in operation.devices if run.kind is Kind.OUTLET]
    is_chassis_on = any(run.kind is Kind.CHASSIS and run.power is Power.ON for run in operation.devices)
    return bool(outlets) and is_chassis_on and all(run.says is Power.OFF for run in outlets)


def targets(operation: Operation, owed: tuple[DeviceName, ...]) -> tuple[DeviceRun, ...]:
    """Return the devices that must be ON in the end: those switched off, now or earlier (`owed`).

    If none was: all devices for `on`; for the restart of a host that was found off, those of the level that proved it.
    `wanted` fixes them when the restore begins, because debts shrink with each device that is ON.
    """
    if operation.wanted:
        return tuple(run for run in operation.devices if run.device in operation.wanted)
    touched = tuple(run for run in operation.devices if run.is_switched_off or run.device in owed)
    if touched:
        return touched
    if operation.action in {Action.ON, Action.WAKE}:
        return operation.devices
    return operation.at_level(operation.proof_level)


def beside(operation: Operation) -> tuple[DeviceRun, ...]:
    """Return the other devices, which an operator's `on` reads once, too: only if they read ON, everything is on."""
    if operation.action is not Action.ON or operation.is_automatic:
        return ()
    return tuple(run for run in operation.devices if run.device not in operation.wanted)


def given_back(operation: Operation, owed: tuple[DeviceName, ...]) -> Restored:
    """Return how much of what was switched off is on again."""
    if operation.restore_started is None:
        return Restored.NO if operation.action is Action.RESTART and operation.is_fenced else Restored.NOT_ASKED
    wanted = targets(operation, owed) + beside(operation)
    on = sum(1 for run in wanted if run.is_on)
    is_any_gone = not {run.device for run in operation.devices}.issuperset(operation.wanted)
    if on == len(wanted) and not is_any_gone:
        return Restored.ALL
    return Restored.PART if on else Restored.NO
