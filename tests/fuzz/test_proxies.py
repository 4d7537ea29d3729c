"""Rubbish on the wire between daemon and proxy, in both directions.

At the proxy: no driver starts unless a call is complete and allowed, and no stored token goes down. At the daemon: only
an answer to this very call makes OFF, and what was sent may have been carried out.
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.host.liveness import TcpLiveness
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, Token
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, OnStarted, Started
from fenced.proxy.agent import AgentSettings, serve
from fenced.proxy.client import ProxyCaller
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import Answer, Call, Problem
from fenced.proxy.state import ProxyState
from fenced.telemetry.proxy_metrics import ProxyMetrics
from tests.drivers.programs import spec_of
from tests.fuzz.given import changed, fuzz, hostile, json_bytes
from tests.fuzz.served import Answered, Impostor, beside, exchange, http_answer, written
from tests.net import free_port
from tests.proxy.agent_program import no_changes
from tests.proxy.bed import PX1, BootClock, permit_of

STORE: Final = "store-1"
PLUG: Final = PlugId("plug")
SECRET: Final = "S3cret-in-the-call"
LATER: Final = BootClock().now() + 3000.0
"""A `not_after` beyond the end of any test."""
ANSWER_BYTES_MAX: Final = 8192
PATIENCE_SECONDS: Final = 1.0


@dataclass(slots=True, kw_only=True)
class Recorder:
    """A driver that records each start."""

    started: list[tuple[str, str]] = field(default_factory=list)

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        self.started.append(("status", spec.plug_id))
        return Power.ON

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        self.started.append((power.value, spec.plug_id))

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        self.started.append(("soft_off", spec.plug_id))

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A real proxy agent on loopback, without TLS."""

    port: int
    life: str
    recorder: Recorder
    directory: Path

    def post(self, body: bytes, headers: list[tuple[str, bytes]] | None = None) -> Answered | None:
        return exchange(self.port, written("POST", "/v1/call", body, headers or []), is_whole=True)

    def highest(self) -> Token | None:
        with ProxyState(self.directory, machine_boot="any", is_owner=False) as state:
            return state.highest(PLUG)


async def _kill(_: Sequence[Started]) -> None:
    """Nothing of an earlier run is left."""


@asynccontextmanager
async def _served(directory: Path) -> AsyncIterator[Proxy]:
    clock, stop, ready, recorder, port = ProxyClock(), asyncio.Event(), asyncio.Event(), Recorder(), free_port()
    with ProxyState(directory, machine_boot=clock.machine_boot) as state:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                serve(
                    AgentSettings(
                        name="px1", version="test", host="127.0.0.1", port=port, tls=None, allow=frozenset(),
                        agent_processes_max=8,
                    ),
                    state=state,
                    clock=clock,
                    driver_for=lambda _: recorder,
                    kill=_kill,
                    stop=stop,
                    changes=no_changes(),
                    telemetry=ProxyMetrics(), liveness=TcpLiveness(),
                    drivers=lambda: (),
                    note_ready=ready.set,
                ),
                name="proxy agent",
            )  # fmt: skip
            await ready.wait()
            yield Proxy(port=port, life=clock.life, recorder=recorder, directory=directory)
            stop.set()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("px1")
    with beside(lambda: _served(directory)) as proxy:
        first = proxy.post(json.dumps(command("9-9", proxy.life)).encode())
        assert first is not None
        assert b'"done"' in first.body
        yield proxy


def command(token: str, life: str, what: str = "off") -> dict[str, Any]:
    """A complete power command."""
    device = {"driver": "made", "plug_id": PLUG, "unit_id": "u", "password": SECRET, "options": {"a": 1}, "secrets": {}}
    permit = {"token": token, "boot": life, "not_after": LATER, "settle": 0.0}
    return {"id": "1", "store": STORE, "device": device, "what": what, "timeout": 1.0, "permit": permit}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A call's text; `LIFE` is a placeholder for the proxy's current run."""
    token = draw(st.sampled_from(["9-8", "9-9", "9-10", "10-1", "1-99", "999999999999999999-1", "x", "-1-1", "9-09"]))
    good = command(token, draw(st.sampled_from(["LIFE", "another"])), draw(st.sampled_from(["off", "soft_off"])))
    return token, draw(
        changed(good) | hostile([json.dumps(good).encode()], tuple(good)) | st.just(json.dumps(good).encode())
    )


@fuzz(200)
@given(bodies(), st.sampled_from([[], [("Content-Encoding", b"gzip")], [("Content-Type", b"text/json")]]))
@example(("9-10", json.dumps(command("9-10", "LIFE")).encode()), [("Content-Encoding", b"deflate")])
@example(("9-10", json.dumps(command("9-10", "LIFE", "soft_off")).encode()), [])
@example(("9-8", json.dumps(command("9-8", "LIFE", "soft_off")).encode()), [])
@example(("9-11", json.dumps(command("9-11", "another", "soft_off")).encode()), [])
def test_no_driver_starts_without_a_whole_call_that_is_allowed(
    proxy: Proxy, token_and_body: tuple[str, bytes], headers: list[tuple[str, bytes]]
) -> None:
    body = token_and_body[1].replace(b"LIFE", proxy.life.encode())
    before, started = proxy.highest(), len(proxy.recorder.started)
    answer = proxy.post(body, headers)
    after, new = proxy.highest(), proxy.recorder.started[started:]
    assert before is not None
    assert after is not None
    assert after >= before, "a token on disk never goes down"
    if answer is not None:
        assert_bounded(answer)
    commands = [what for what, _ in new if what != "status"]
    if new:
        assert not headers
        call = Call.model_validate_json(body)
        assert len(new) == 1
        assert new == [(call.what.value, call.device.plug_id)]
        if commands and call.device.plug_id == PLUG:
            assert call.permit is not None
            assert (call.store, call.permit.boot) == (STORE, proxy.life)
            assert call.permit.fence_token > before
            assert after == call.permit.fence_token


def assert_bounded(answer: Answered) -> None:
    """One of the two shapes, small, without the secret; and no internal error of the agent."""
    assert len(answer.body) <= ANSWER_BYTES_MAX
    assert SECRET.encode() not in answer.body
    assert answer.status < 500, answer
    if answer.status == 200:
        Answer.model_validate_json(answer.body)
    elif answer.kind == "application/problem+json":
        assert Problem.model_validate_json(answer.body).status == answer.status
    else:
        assert (answer.status, answer.kind) == (400, "text/plain"), "the HTTP library's word on what is no HTTP"


CLOCK: Final = {"boot": "life", "monotonic": 5.0}
OFF: Final = {"id": "1", "outcome": "off", "power": "off", "error": None, "clock": CLOCK}
DONE: Final = {"id": "2", "outcome": "done", "power": None, "error": None, "clock": CLOCK}
REFUSED: Final = {
    **OFF, "outcome": "unknown", "power": "unknown",
    "error": {"kind": "unreachable", "text": "no route", "may_be_done": False, "is_end_known": True},
}  # fmt: skip
KEYS: Final = ("id", "outcome", "power", "error", "clock")


def answers(*good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Answers of a proxy, or something in their place."""
    texts = [json.dumps(each).encode() for each in good]
    body = st.one_of(*(changed(each) for each in good), hostile(texts, KEYS), st.sampled_from(texts), json_bytes(KEYS))
    statuses = st.sampled_from([b"200 OK"] * 4 + [b"503 x", b"422 x", b"302 x\r\nLocation: /v1/call", b"999 x"])
    whole = st.builds(lambda text, status: http_answer(text, status=status), body, statuses)
    return whole | hostile([http_answer(text) for text in texts]) | st.just(http_answer(b"x" * 200_000))


@pytest.fixture(scope="module")
def impostor() -> Iterator[Impostor]:
    with Impostor() as impostor:
        yield impostor


def said_in(answer: bytes) -> Any:
    """Return the JSON after the header."""
    text = re.split(rb"\r?\n\r?\n", answer, maxsplit=1)[1].decode().lstrip()
    return json.JSONDecoder().raw_decode(text)[0]


async def _read(port: int) -> Power:
    caller = ProxyCaller(store=STORE, urls={PX1: f"http://127.0.0.1:{port}"}, tls=None, clock=BootClock())
    try:
        return await caller.read(PX1, spec_of(), timeout_seconds=PATIENCE_SECONDS)
    finally:
        await caller.close()


@fuzz(100)
@given(answers(OFF, REFUSED))
@example(http_answer(json.dumps({**OFF, "id": "2"}).encode()))
@example(http_answer(json.dumps({**OFF, "outcome": "on"}).encode()))
@example(http_answer(json.dumps(OFF).encode(), status=b"422 x"))
@example(http_answer(json.dumps(OFF).encode()[:-1] + b', "power": "on"}'))
@example(
    http_answer(
        json.dumps({**OFF, "power": "on", "outcome": "on"}).encode()[:-1] + b', "power": "off", "outcome": "off"}'
    )
)
def test_off_is_an_answer_that_says_so_to_this_call(impostor: Impostor, answer: bytes) -> None:
    impostor.answer = answer
    try:
        power = asyncio.run(_read(impostor.port))
    except DeviceError as exc:
        assert not exc.may_be_done
        assert len(str(exc)) < 3000
        return
    if power is Power.OFF:
        said = said_in(answer)
        assert (said["id"], said["outcome"], said["power"], said.get("error")) == ("1", "off", "off", None)


async def _command(port: int, *, is_soft: bool) -> None:
    caller = ProxyCaller(store=STORE, urls={PX1: f"http://127.0.0.1:{port}"}, tls=None, clock=BootClock())

    async def never(started: Started) -> None:
        raise AssertionError(started)

    try:
        permit = permit_of(attempt=PATIENCE_SECONDS)
        if is_soft:
            await caller.soft_off(PX1, spec_of(), permit=permit, on_started=never)
        else:
            await caller.set(PX1, spec_of(), Power.OFF, permit=permit, on_started=never)
    finally:
        await caller.close()


@fuzz(60)
@given(
    answers({"name": "px1", "version": "1", "clock": CLOCK, "in_flight": {"reads": 0, "commands": 0}}, DONE),
    st.booleans(),
)
def test_a_command_is_not_sent_to_what_does_not_answer_as_a_proxy(
    impostor: Impostor, answer: bytes, is_soft: bool
) -> None:
    """The same answer to the request for the clock, and to the command if it gets that far."""
    impostor.answer = answer
    try:
        asyncio.run(_command(impostor.port, is_soft=is_soft))
    except DeviceError as exc:
        assert len(str(exc)) < 3000
    else:
        said = said_in(answer)
        assert (said["id"], said["outcome"]) == ("1", "done")


POISON: Final = "\x1b[2J\nnode-9: fenced \x9b31m"


@pytest.mark.parametrize("form", ["{0}", "{0}\\", "-p '{0}'", "{1}", "{2}"])
@pytest.mark.parametrize("way", ["error", "problem", "nonsense"])
def test_what_a_proxy_says_is_masked_and_on_one_line(impostor: Impostor, form: str, way: str) -> None:
    """A password that it echoes in any form would get into the journal, which viewers can read."""
    echoed = form.format(SECRET, base64.b64encode(f"fence:{SECRET}".encode()).decode(), quote(SECRET)) + POISON
    error = {"kind": "failed", "text": echoed, "may_be_done": False, "is_end_known": True}
    body = {"error": {**REFUSED, "error": error}, "problem": {"detail": echoed}, "nonsense": {"x": echoed}}[way]
    impostor.answer = http_answer(json.dumps(body).encode(), status=b"403 x" if way == "problem" else b"200 OK")
    spec = spec_of(username="fence", password=Secret(SECRET))

    async def read() -> None:
        caller = ProxyCaller(store=STORE, urls={PX1: f"http://127.0.0.1:{impostor.port}"}, tls=None, clock=BootClock())
        try:
            await caller.read(PX1, spec, timeout_seconds=PATIENCE_SECONDS)
        finally:
            await caller.close()

    with pytest.raises(DeviceError) as failed:
        asyncio.run(read())
    assert str(failed.value).isprintable()
    for secret in (SECRET, base64.b64encode(f"fence:{SECRET}".encode()).decode(), quote(SECRET)):
        assert secret not in str(failed.value)
