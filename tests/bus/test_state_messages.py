"""Payloads of `state/HOST`: of this program, of an older one, cleared, and rubbish."""

import json

import pytest

from fenced.bus import messages
from fenced.core.durable.state import HostState
from fenced.engine.batch import state_payload
from fenced.model.names import HostName, Token
from fenced.model.power import State
from fenced.ports.bus import StateSeen
from fenced.ports.health import Malformed

HOST = HostName("node-1")


def state(payload: bytes) -> StateSeen:
    return messages.state(payload, host=HOST, received=1.0, is_retained=True)


def test_a_state_of_this_program_is_read() -> None:
    """What `announce.state_message` writes, through the outbox's own function."""
    shown = HostState(name=HOST, state=State.FENCED, since=0.0, token=Token(epoch=3, sequence=17))
    seen = state(state_payload(shown, "fenced-a", rev="3-18"))
    assert seen == StateSeen(
        host=HOST, received=1.0, is_retained=True, state="fenced", is_proven=True, token=Token(epoch=3, sequence=17),
        rev=Token(epoch=3, sequence=18), controller="fenced-a", operation="",
    )  # fmt: skip


def test_a_state_of_an_older_program_and_a_cleared_one_are_read() -> None:
    old = state(b'{"host": "node-1", "state": "restoring", "token": null, "proof": "human", "controller": "fenced-b"}')
    assert (old.rev, old.token, old.is_proven, old.controller) == (None, None, True, "fenced-b")
    cleared = state(b"")
    assert (cleared.state, cleared.is_proven, cleared.rev) == ("", False, None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": 5},
        {"state": "x" * 33},
        {"state": "a b"},
        {"state": "fenced", "token": "1"},
        {"state": "fenced", "token": "1-2-3"},
        {"state": "fenced", "token": "-1-2"},
        {"state": "fenced", "token": "\u0661-2"},
        {"state": "fenced", "rev": "1-" + "9" * 19},
        {"state": "fenced", "controller": "x" * 254},
        [],
    ],
    ids=str,
)
def test_what_is_no_state_is_malformed(body: object) -> None:
    with pytest.raises(Malformed):
        state(json.dumps(body).encode())
