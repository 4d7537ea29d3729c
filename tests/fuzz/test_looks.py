"""Rubbish in looks, in both directions: no proxy breaks over a request, and no answer but a whole one is believed."""

import asyncio
import json
from typing import Any, Final

from hypothesis import example, given

from fenced.core.heard.looks import Saw, Target
from fenced.ports.devices import DeviceError
from fenced.ports.liveness import Question, Seen
from fenced.proxy.client import ProxyCaller
from fenced.proxy.look_protocol import LOOK_PATH, LookAnswer
from fenced.proxy.protocol import Problem
from tests.fuzz.given import changed, fuzz, hostile
from tests.fuzz.served import Impostor, exchange, http_answer, written
from tests.fuzz.test_proxies import ANSWER_BYTES_MAX, CLOCK, PATIENCE_SECONDS, STORE, Proxy, answers, said_in
from tests.fuzz.test_proxies import impostor as impostor
from tests.fuzz.test_proxies import proxy as proxy
from tests.proxy.bed import PX1, BootClock

REQUEST: Final[dict[str, Any]] = {
    "id": "1", "targets": [{"network": "storage", "address": "127.0.0.1", "controls": ["127.0.0.2"]}], "ports": [22],
    "agents": [{"host": "127.0.0.1", "port": 8471}], "timeout": 0.1,
}  # fmt: skip
LOOK: Final = {
    "network": "storage",
    "address": "127.0.0.1",
    "saw": "silent",
    "control": "127.0.0.2",
    "why": "no answer",
}
ANSWER: Final[dict[str, Any]] = {"id": "1", "looks": [LOOK], "clock": CLOCK}
QUESTION: Final = Question(
    targets=(Target(network="storage", address="127.0.0.1", controls=("127.0.0.2",)),), ports=(22,), timeout_seconds=1.0
)


@fuzz(100)
@given(changed(REQUEST) | hostile([json.dumps(REQUEST).encode()], tuple(REQUEST)))
@example(json.dumps(REQUEST).encode())
def test_no_request_breaks_a_proxy_or_has_it_look_unasked(proxy: Proxy, body: bytes) -> None:
    answer = exchange(proxy.port, written("POST", LOOK_PATH, body, []), is_whole=True)
    if answer is None:
        return
    assert len(answer.body) <= ANSWER_BYTES_MAX and (answer.status < 500 or answer.status == 503), answer
    if answer.status == 200:
        looks = LookAnswer.model_validate_json(answer.body).looks
        assert {look.saw for look in looks} == {Saw.UNKNOWN}, "its file has no [look]"
    elif answer.kind == "application/problem+json":
        assert Problem.model_validate_json(answer.body).status == answer.status


async def _look(port: int) -> tuple[Seen, ...]:
    caller = ProxyCaller(store=STORE, urls={PX1: f"http://127.0.0.1:{port}"}, tls=None, clock=BootClock())
    try:
        return await caller.look(PX1, QUESTION, PATIENCE_SECONDS)
    finally:
        await caller.close()


@fuzz(100)
@given(answers(ANSWER))
@example(http_answer(json.dumps(ANSWER).encode()))
@example(http_answer(json.dumps({**ANSWER, "looks": [LOOK, LOOK]}).encode()))
@example(http_answer(json.dumps({**ANSWER, "looks": [{**LOOK, "control": "127.0.0.1"}]}).encode()))
@example(http_answer(json.dumps(ANSWER).encode(), status=b"503 x"))
def test_silence_is_what_a_whole_answer_says_of_this_very_look(impostor: Impostor, answer: bytes) -> None:
    impostor.answer = answer
    try:
        (seen,) = asyncio.run(_look(impostor.port))
    except DeviceError as exc:
        assert len(str(exc)) < 3000 and str(exc).isprintable()
        return
    said = said_in(answer)
    assert (said["id"], [look["saw"] for look in said["looks"]]) == ("1", [seen.saw.value])
    assert seen.control in {"", "127.0.0.2"} and seen.why.isprintable() and len(seen.why) < 5000
