"""Decides about a token on the bus that the journal does not know: the store lost the record that announced it (S22).

The host gets a new token above the lost one, and no proof counts that is older than it. It is announced as fenced again
only where its devices prove that again: nothing here reads or switches a device.
"""

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState
from fenced.core.events import StateSeen
from fenced.core.fleet import Fleet
from fenced.core.operation.phases import stop
from fenced.core.work import HostWork
from fenced.model.power import State


def is_lost(fleet: Fleet, state: HostState, event: StateSeen) -> bool:
    """Return whether an earlier life on this store announced the token, and the journal does not know it.

    A token of this epoch is no lost one: this life knows what it announced. One of a higher epoch is another
    controller's, and the store decides who that is. A store in the place of another one never had the old one's tokens.
    """
    if event.token is None or fleet.expected_store or fleet.is_store_new:
        return False
    return event.token.epoch < fleet.epoch and (state.token is None or state.token < event.token)


def look(work: HostWork, event: StateSeen) -> None:
    """Record a lost announcement. Power is not given back any more by an operation that rests on an older proof."""
    if event.token is None or not is_lost(work.fleet, work.state, event):
        return
    proof = work.state.proof
    is_kept = proof is not None and event.operation == proof.operation and event.state == State.RESTORING.value
    why = f"the bus shows {event.state or 'nothing'} with token {event.token}, and the store has lost that record"
    if work.operation is not None and work.operation.is_fenced and event.state == State.FENCED.value:
        stop(work, f"revoked: {why}")
    work.record(
        r.AnnouncementLost(
            lost=event.token,
            shown=event.state,
            is_proven=event.is_proven and not is_kept,
            is_proof_kept=is_kept,
            token=work.fleet.next_token(),
            why=why,
        )
    )
    work.wake(work.now)
