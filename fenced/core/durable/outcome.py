"""What the devices of an operation say together: of the host's power, and of the restore."""

from fenced.core.durable.state import DeviceRun, Operation, ProofOfOff, Restored
from fenced.model.inventory import Device, Host
from fenced.model.names import DeviceName
from fenced.model.power import Action, Kind, Power


def host_power(operation: Operation) -> Power:
    """Off: some level all OFF and no chassis ON. On: a chassis ON (no chassis: any outlet). Else unknown."""
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


def speaking(operation: Operation) -> tuple[DeviceRun, ...]:
    """The devices whose last reading still says something: a chassis read OFF before an ON of ours ended does not."""
    lit_at = max((run.command_ended_at or 0.0 for run in operation.devices if run.is_switched_on), default=0.0)
    return tuple(run for run in operation.devices if not _is_outdated(run, lit_at))


def _is_outdated(run: DeviceRun, lit_at: float) -> bool:
    is_off_chassis = run.kind is Kind.CHASSIS and run.power is Power.OFF and not run.is_switched_on
    return is_off_chassis and (run.read_at or 0.0) < lit_at


def is_contradiction(operation: Operation) -> bool:
    """All outlets OFF and a chassis ON: one of them lies (DESIGN section 4)."""
    outlets = [run for run in operation.devices if run.kind is Kind.OUTLET]
    is_chassis_on = any(run.kind is Kind.CHASSIS and run.power is Power.ON for run in operation.devices)
    return bool(outlets) and is_chassis_on and all(run.says is Power.OFF for run in outlets)


def speaks(proof: ProofOfOff, host: Host) -> tuple[Device, ...]:
    """The devices whose ON takes a proof of off back: a chassis, those that were read, and those of their level, also where
    the inventory has them since. Where it has none of those that were read: all."""
    if proof.devices and not any(device.name in proof.devices for device in host.devices):
        return host.devices
    return tuple(
        device
        for device in host.devices
        if device.kind is Kind.CHASSIS or device.name in proof.devices or device.level == proof.level
    )


def targets(operation: Operation, owed: tuple[DeviceName, ...]) -> tuple[DeviceRun, ...]:
    """The devices that must be ON in the end: what was switched off, now or earlier (`owed`). Where nothing was:
    for `on` all devices, for a restart of a host found off the proving level's.

    Settled as the restore begins: what is owed shrinks with each device that is ON."""
    if operation.wanted:
        return tuple(run for run in operation.devices if run.device in operation.wanted)
    touched = tuple(run for run in operation.devices if run.is_switched_off or run.device in owed)
    if touched:
        return touched
    if operation.action is Action.ON:
        return operation.devices
    return tuple(run for run in operation.devices if run.level == operation.proof_level)


def is_lit(run: DeviceRun) -> bool:
    """It reads ON, or some path to it did and was not read otherwise since."""
    return run.power is Power.ON or bool(run.lit)


def beside(operation: Operation) -> tuple[DeviceRun, ...]:
    """What a person's `on` looks at once besides: a host whose other devices are off, or can't be read, is not all on."""
    if operation.action is not Action.ON or operation.is_automatic:
        return ()
    return tuple(run for run in operation.devices if run.device not in operation.wanted)


def is_on(run: DeviceRun) -> bool:
    """Read ON, and no command of ours on its way."""
    return reads_on(run) and run.step is None and not run.is_racing


def reads_on(run: DeviceRun) -> bool:
    """Its last reading says ON, and no OFF that was sent before could still act as it began (S5)."""
    return run.says is Power.ON and run.same_reads > 0


def given_back(operation: Operation, owed: tuple[DeviceName, ...]) -> Restored:
    """How much of what was switched off is on again."""
    if operation.restore_started is None:
        return Restored.NO if operation.action is Action.RESTART and operation.is_fenced else Restored.NOT_ASKED
    wanted = targets(operation, owed) + beside(operation)
    on = sum(1 for run in wanted if is_on(run))
    is_any_gone = not {run.device for run in operation.devices}.issuperset(operation.wanted)
    if on == len(wanted) and not is_any_gone:
        return Restored.ALL
    return Restored.PART if on else Restored.NO
