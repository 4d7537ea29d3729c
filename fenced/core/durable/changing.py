"""Small changes of a host's state that several parts of `evolve` share."""

from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState, Operation, Slot
from fenced.model.names import BootId, DeviceName, OperationId
from fenced.model.power import Power, State

ENDED_BOOTS_MAX = 8


def to_state(state: HostState, after: State, at: float, **changes: object) -> HostState:
    """Change the host's state. `since` counts from the last real change."""
    since = state.since if after is state.state else at
    return replace(state, state=after, since=since, **changes)  # type: ignore[arg-type]


def put(state: HostState, slot: Slot, operation: Operation | None) -> HostState:
    """Put an operation into a slot, or empty it."""
    match slot:
        case Slot.RUNNING:
            return replace(state, operation=operation)
        case Slot.WAITING:
            return replace(state, waiting=operation)
        case Slot.READING:
            return replace(state, reading=operation)


def change_operation(state: HostState, operation: OperationId | None, **changes: object) -> HostState:
    """Change fields of the operation with that id, if the host still has it."""
    slot, held = state.slot_of(operation), state.find(operation)
    if slot is None or held is None:
        return state
    return put(state, slot, replace(held, **changes))  # type: ignore[arg-type]


def with_power(state: HostState, device: DeviceName, power: Power) -> HostState:
    """Set a device's last known power."""
    others = ((name, seen) for name, seen in state.power if name != device)
    return replace(state, power=(*others, (device, power)))


def union(names: tuple[DeviceName, ...], more: tuple[DeviceName, ...]) -> tuple[DeviceName, ...]:
    return (*names, *(name for name in more if name not in names))


def without(names: tuple[DeviceName, ...], *gone: DeviceName) -> tuple[DeviceName, ...]:
    return tuple(name for name in names if name not in gone)


def with_ended(ended: tuple[BootId, ...], boot: BootId) -> tuple[BootId, ...]:
    """Return the ended boots with one more, the newest last."""
    return (*(other for other in ended if other != boot), boot)[-ENDED_BOOTS_MAX:]
