"""Answers to requests of the bus, as a program reads them."""

import json

import pytest

from fenced.core import commands as c
from fenced.engine import replies
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.names import HostName, OperationId

NODE = HostName("node-1")
NONE = OperationId("")


@pytest.mark.parametrize(
    ("host", "answer", "said"),
    [
        (NODE, Accepted(operation=OperationId("4-1")), {"host": "node-1", "accepted": True, "operation": "4-1"}),
        (NODE, Accepted(operation=NONE), {"host": "node-1", "accepted": True, "operation": None}),
        (NODE, RefusedBy(rule="alive", why="w"), {"host": "node-1", "accepted": False, "rule": "alive", "why": "w"}),
        (None, Accepted(operation=NONE, hosts=("n1",), short=2), {"accepted": True, "hosts": ["n1"], "short": 2}),
        (None, RefusedBy(rule="cluster", why="w"), {"accepted": False, "rule": "cluster", "why": "w"}),
    ],
)
def test_an_answer_says_what_was_begun(host: HostName | None, answer: Answer, said: dict[str, object]) -> None:
    reply = c.Reply(host=host, request_id="r-1", reply_topic=None, correlation=None, answer=answer)
    assert json.loads(replies.payload(reply)) == {"id": "r-1", **said}
