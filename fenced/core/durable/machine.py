"""The two machines: which record takes a host from one state to another, and an operation from one phase to another.

`evolve` asserts that each change is in these tables. docs/states.md is generated from them (`make docs-states`); a test
compares it. A record with its own next state (`after`, `phase`) is listed with every value that it may carry.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, TypeVar

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Operation, Phase
from fenced.model.power import Action, State

E = TypeVar("E", bound=Enum | None)
F = TypeVar("F", bound=Enum)

MEANING: Final[dict[State, str]] = {
    State.UNKNOWN: "no heartbeat of it was ever heard, or none since an operator handed it back",
    State.HEALTHY: "heard within its grace",
    State.SUSPECT: "silent or reported failing, not proven dead, may still run",
    State.DUMPING: "its crash kernel is writing",
    State.FENCING: "power actions under way, may be on or off",
    State.FENCED: "verified off and journalled",
    State.RESTORING: "was verified off, power is being given back, waiting for its first heartbeat",
    State.FAILED: "not proven off and no attempt is left for now, an operator must look",
    State.LEFT: "reported that it stops; silence is expected",
    State.MAINTENANCE: "an operator asked to leave it alone",
    State.SLEEPING: "asleep to save power; comes back when asked",
}

_CALM: Final = frozenset({State.UNKNOWN, State.HEALTHY, State.SUSPECT, State.RESTORING, State.FAILED, State.LEFT})

TRANSITIONS: Final[dict[type[r.HostRecord], dict[State, frozenset[State]]]] = {
    r.HostHeard: {
        state: frozenset({State.HEALTHY, State.MAINTENANCE})
        for state in (_CALM | {State.HEALTHY, State.FENCED, State.DUMPING, State.SLEEPING})
    },
    r.HostSuspected: {state: frozenset({State.SUSPECT}) for state in (State.HEALTHY, State.FAILED, State.RESTORING)},
    r.HostLeft: {
        state: frozenset({State.LEFT})
        for state in (State.UNKNOWN, State.HEALTHY, State.SUSPECT, State.RESTORING, State.FAILED, State.LEFT)
    },
    r.OperationStarted: {state: frozenset({state, State.FENCING, State.RESTORING}) for state in State},
    r.WaitingOperationStarted: {state: frozenset({state, State.FENCING, State.RESTORING}) for state in State},
    r.HostFenced: {state: frozenset({State.FENCED}) for state in State},
    r.PhaseEntered: {
        State.FENCED: frozenset({State.FENCED, State.RESTORING}),
        State.FENCING: frozenset({State.FENCING}),
        State.RESTORING: frozenset({State.RESTORING}),
        State.SLEEPING: frozenset({State.SLEEPING, State.RESTORING}),
    },
    r.HostSlept: {
        state: frozenset({State.SLEEPING}) for state in (State.HEALTHY, State.LEFT, State.MAINTENANCE, State.UNKNOWN)
    },
    r.HostWoken: {
        state: frozenset({State.HEALTHY, State.MAINTENANCE, State.RESTORING})
        for state in (State.SLEEPING, State.RESTORING, State.SUSPECT, State.FAILED)
    },
    r.HostRevoked: {
        state: frozenset({State.HEALTHY, State.RESTORING, State.MAINTENANCE})
        for state in (State.FENCED, State.RESTORING, State.SUSPECT, State.FAILED)
    },
    r.AnnouncementLost: {State.FENCED: frozenset({State.RESTORING})},
    r.HostPutAside: {state: frozenset({State.FAILED}) for state in State},
    r.MaintenanceSet: {state: frozenset({state, State.MAINTENANCE}) for state in State},
    r.MaintenanceEnded: {state: frozenset({State.UNKNOWN if state is State.MAINTENANCE else state}) for state in State},
    r.OperationEnded: {
        State.FENCING: frozenset(
            {
                State.FENCED,
                State.FAILED,
                State.SUSPECT,
                State.UNKNOWN,
                State.LEFT,
                State.MAINTENANCE,
                State.RESTORING,
                State.SLEEPING,
            }
        ),
        State.RESTORING: frozenset({State.RESTORING, State.FENCED, State.UNKNOWN, State.SLEEPING}),
        State.LEFT: frozenset({State.LEFT, State.HEALTHY}),
    },
}
"""Record -> state before -> states after. Any record may also leave the state as it is; records not named always do."""


PHASE_MEANING: Final[dict[Phase, str]] = {
    Phase.PROVING: "switches the devices of one level OFF and reads them until the level is proven off",
    Phase.INSPECTING: "reads the devices of the other levels once: a chassis that reads ON contradicts the level",
    Phase.ANNOUNCING: "waits until the broker has the `fenced` event, or `announce_wait` is over",
    Phase.RESTORING: "switches devices ON, outlets first",
    Phase.VETO: "reads every device ON, says that the host will be put to sleep, and waits for a veto",
    Phase.GOING_DOWN: "asks the host to shut down, and reads until every chassis is OFF",
    Phase.READ_AND_END: "sends no command: reads each device once, then ends (a status, a probe, or after a restart)",
    Phase.CLOSING: "waits until none of its commands can act any more",
    Phase.ENDED: "over; none of its steps is executed any more",
}

FIRST_PHASE: Final = {
    Action.OFF: Phase.PROVING,
    Action.RESTART: Phase.PROVING,
    Action.ON: Phase.RESTORING,
    Action.WAKE: Phase.RESTORING,
    Action.SLEEP: Phase.VETO,
    Action.STATUS: Phase.READ_AND_END,
    Action.PROBE: Phase.READ_AND_END,
}
"""The phase in which an operation starts."""

_STARTS: Final = frozenset({Phase.PROVING, Phase.RESTORING, Phase.READ_AND_END, Phase.VETO})
_GIVE_UP: Final = frozenset({Phase.RESTORING, Phase.READ_AND_END, Phase.CLOSING})

PHASES: Final[dict[type[r.HostRecord], dict[Phase | None, frozenset[Phase]]]] = {
    r.OperationStarted: {None: _STARTS},
    r.WaitingOperationStarted: {None: frozenset({Phase.PROVING, Phase.RESTORING})},
    r.LevelEntered: {Phase.INSPECTING: frozenset({Phase.PROVING})},
    r.PhaseEntered: {
        Phase.PROVING: _GIVE_UP | {Phase.INSPECTING},
        Phase.INSPECTING: _GIVE_UP | {Phase.PROVING, Phase.ANNOUNCING},
        Phase.ANNOUNCING: _GIVE_UP,
        Phase.RESTORING: frozenset({Phase.READ_AND_END, Phase.CLOSING}),
        Phase.VETO: frozenset({Phase.GOING_DOWN, Phase.CLOSING}),
        Phase.GOING_DOWN: frozenset({Phase.ANNOUNCING, Phase.READ_AND_END, Phase.CLOSING}),
        Phase.READ_AND_END: frozenset({Phase.RESTORING, Phase.CLOSING}),
    },
    r.OperationEnded: {phase: frozenset({Phase.ENDED}) for phase in Phase if phase is not Phase.ENDED},
    r.HostPutAside: {phase: frozenset({Phase.ENDED}) for phase in Phase if phase is not Phase.ENDED},
}
"""Record -> phase before (None: the operation does not run yet) -> phases after.
Any record may also leave the phase as it is; records not named always do. An operation ends from CLOSING; from
another phase only if it can't be carried on (its host left the inventory, or its records can't be restored), if it
never ran, or if it only reads."""


def check(record: r.Record, before: HostState, after: HostState) -> None:
    """Assert that the tables have the transition; otherwise the daemon has a bug."""
    if before.state is not after.state:
        assert isinstance(record, r.HostRecord)
        allowed = TRANSITIONS.get(type(record), {}).get(before.state, frozenset())
        assert after.state in allowed, _denied(record, before.state, after.state)
    if before.operation is not after.operation:
        _check_phase(record, before.operation, after.operation)
    if before.reading is not after.reading:
        _check_phase(record, before.reading, after.reading)


def _check_phase(record: r.Record, before: Operation | None, after: Operation | None) -> None:
    was = before.phase if before is not None and (after is None or after.id == before.id) else None
    now = after.phase if after is not None else Phase.ENDED
    if was is not now:
        assert isinstance(record, r.HostRecord)
        assert now in PHASES.get(type(record), {}).get(was, frozenset()), _denied(record, was, now)


def _denied(record: r.Record, before: Enum | None, after: Enum) -> str:
    start = before.value if before is not None else "nothing"
    return f"{type(record).__name__} may not lead from {start} to {after.value}"


Edge = tuple[str, str, str]
"""From, to, and the record's name."""


def state_table() -> str:
    """Return the meaning of each state and every transition, for docs/states.md: too many for a picture."""
    rows = [f"| `{before}` | `{after}` | {names} |" for before, after, names in _merged(_edges(TRANSITIONS))]
    return "\n".join([*_meanings(MEANING), "", "| From | To | By |", "|---|---|---|", *rows, ""])


def phase_diagram() -> str:
    """Return the table of phases as a Mermaid diagram, with the meaning of each."""
    lines = [f"    {before} --> {after}: {names}" for before, after, names in _merged(_edges(PHASES))]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", "", *_meanings(PHASE_MEANING), ""])


def _edges(table: Mapping[type[r.HostRecord], Mapping[E, frozenset[F]]]) -> set[Edge]:
    return {
        (_place(before), after.value, record.__name__)
        for record, row in table.items()
        for before, afters in row.items()
        for after in afters
        if before is not after
    }


def _place(at: Enum | None) -> str:
    return at.value if at is not None else "[*]"


def _merged(edges: Iterable[Edge]) -> list[Edge]:
    """Return one edge for each pair of places, with the names of all its records."""
    names: dict[tuple[str, str], list[str]] = {}
    for before, after, name in sorted(edges):
        names.setdefault((before, after), []).append(name)
    return [(before, after, ", ".join(found)) for (before, after), found in names.items()]


def _meanings(meaning: Mapping[F, str]) -> list[str]:
    return [f"- **{place.value}**: {sentence}" for place, sentence in meaning.items()]
