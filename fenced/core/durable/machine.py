"""The host machine: which record takes a host from which state to which. The only place that names transitions.

docs/states.md is generated from `TRANSITIONS` and `MEANING`, and CI checks it. A record that carries its own next state
(`after`) is listed with all that it may carry.
"""

from typing import Final

from fenced.core.durable import records as r
from fenced.model.power import State

MEANING: Final[dict[State, str]] = {
    State.UNKNOWN: "no heartbeat of it was ever heard, or none since a person handed it back",
    State.HEALTHY: "heard within its grace",
    State.SUSPECT: "silent or reported failing, not proven dead, may still run",
    State.DUMPING: "its crash kernel is writing",
    State.FENCING: "power actions under way, may be on or off",
    State.FENCED: "verified off and journalled",
    State.RESTORING: "was verified off, power is being given back, waiting for its first heartbeat",
    State.FAILED: "not proven off and no attempt is left for now, a person must look",
    State.LEFT: "said that it stops; silence is expected",
    State.MAINTENANCE: "a person asked to leave it alone",
}

ANY: Final = frozenset(State)
_CALM: Final = frozenset({State.UNKNOWN, State.HEALTHY, State.SUSPECT, State.RESTORING, State.FAILED, State.LEFT})

TRANSITIONS: Final[dict[type[r.HostRecord], dict[State, frozenset[State]]]] = {
    r.HostHeard: {
        state: frozenset({State.HEALTHY, State.MAINTENANCE})
        for state in (_CALM | {State.HEALTHY, State.FENCED, State.DUMPING})
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
    },
    r.HostRevoked: {
        state: frozenset({State.HEALTHY, State.RESTORING, State.MAINTENANCE})
        for state in (State.FENCED, State.RESTORING, State.SUSPECT, State.FAILED)
    },
    r.HostPutAside: {state: frozenset({State.FAILED}) for state in State},
    r.MaintenanceSet: {state: frozenset({state, State.MAINTENANCE}) for state in State},
    r.MaintenanceEnded: {state: frozenset({State.UNKNOWN if state is State.MAINTENANCE else state}) for state in State},
    r.OperationEnded: dict.fromkeys(State, ANY),
}
"""Record -> state before -> states it may lead to. Records that are not named change no state."""


def check(record: r.HostRecord, before: State, after: State) -> None:
    """Assert that a transition is in the table: anything else is a bug of ours."""
    if before is after:
        return
    allowed = TRANSITIONS.get(type(record), {}).get(before, frozenset())
    assert after in allowed, f"{type(record).__name__} may not lead from {before.value} to {after.value}"


def diagram() -> str:
    """The table as a Mermaid state diagram and the sentences as a list, for docs/states.md."""
    edges = {
        (before, after, type_.__name__)
        for type_, row in TRANSITIONS.items()
        for before, afters in row.items()
        for after in afters
        if before is not after and type_ is not r.OperationEnded
    }
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {before.value} --> {after.value}: {name}" for before, after, name in sorted(edges, key=_order)]
    lines += ["```", ""]
    lines += [f"- **{state.value}**: {sentence}" for state, sentence in MEANING.items()]
    lines += ["", "`OperationEnded` may lead anywhere: it carries the state that is true afterwards.", ""]
    return "\n".join(lines)


def _order(edge: tuple[State, State, str]) -> tuple[str, str, str]:
    return edge[0].value, edge[1].value, edge[2]
