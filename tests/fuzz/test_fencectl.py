"""For any answer in the daemon's place, `fencectl` ends with one of its exit codes and a sentence."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.api import views
from fenced.api.controllers import shown
from fenced.cli.fencectl import client as http_client
from fenced.cli.fencectl import main
from fenced.cli.fencectl.session import ExitCode
from fenced.model.names import HostName
from tests.fakes.control import FakeControl
from tests.fakes.controllers import controller
from tests.fakes.samples import finished_restart
from tests.fuzz.given import changed, fuzz, json_bytes, mutated
from tests.fuzz.served import Impostor, http_answer

COMMANDS: Final = (
    ("hosts",), ("show", "node-1"), ("explain", "node-1"), ("operations",), ("operation", "1-7"), ("pauses",),
    ("proxies",), ("controllers",), ("hand-over", "--reason", "x"),
    ("off", "node-1"), ("arm",), ("cancel", "1-7"), ("pause", "--reason", "x"), ("hosts", "--json"),
    ("confirm-off", "node-1", "--reason", "x"), ("maintenance", "node-1", "on", "--reason", "x"),
)  # fmt: skip
ENDS: Final = frozenset({ExitCode.DONE, ExitCode.FAILED, ExitCode.REFUSED, ExitCode.UNREACHABLE})


def samples() -> list[dict[str, Any]]:
    """Good answers of the daemon, of every kind."""
    control = FakeControl()
    host = views.host(control.host(HostName("node-3"))).model_dump(mode="json")
    operation = views.operation(finished_restart()).model_dump(mode="json")
    proxies = [views.proxy(each).model_dump(mode="json") for each in control.proxies()]
    explanation = {"host": host, "gates": [], "records": [], "devices": [], "fleet": {}}
    problem = {
        "title": "Conflict",
        "status": 409,
        "detail": "no",
        "rule": "alive",
        "errors": [{"path": "a", "reason": "b"}],
    }
    standby = {"status": 503, "rule": "standby", "detail": "a standby", "active": "http://127.0.0.1:1"}
    views_of = [controller("fenced-a", epoch=7), controller("fenced-b", unfit=("the bus is not connected",))]
    controllers = [shown(each).model_dump(mode="json") for each in views_of]
    accepted = {"operation": "1-7", "warnings": []}
    pages = [{"items": items, "next": None} for items in ([host], [operation], proxies, controllers)]
    return [
        host,
        operation,
        explanation,
        problem,
        standby,
        accepted,
        views.fleet(control.fleet(), control.controllers()).model_dump(mode="json"),
        *pages,
    ]


SAMPLES: Final = samples()
BODIES: Final = st.one_of(
    *(changed(sample) for sample in SAMPLES), json_bytes(("items", "next", "host", "operation", "warnings")),
    st.sampled_from([json.dumps(sample).encode() for sample in SAMPLES]), st.just(b""), st.just(b"[" * 100_000),
)  # fmt: skip
STATUSES: Final = st.sampled_from(
    [b"200 OK"] * 5 + [b"202 x", b"204 x", b"401 x", b"409 x", b"422 x", b"500 x", b"503 x", b"301 x"]
)
ANSWERS: Final = st.one_of(
    st.builds(lambda body, status: http_answer(body, status=status), BODIES, STATUSES),
    mutated([http_answer(json.dumps(sample).encode()) for sample in SAMPLES]),
    st.binary(max_size=60),
)


@pytest.fixture(scope="module")
def impostor() -> Iterator[Impostor]:
    with Impostor() as impostor:
        yield impostor


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes slowly ends soon."""
    monkeypatch.setattr(http_client, "CALL_TIMEOUT_SECONDS", 2.0)


@fuzz(250)
@given(words=st.sampled_from(COMMANDS), answer=ANSWERS)
@example(("hosts",), http_answer(b'{"a": 1}'))
@example(("hosts",), http_answer(b"[" * 100_000))
@example(("hosts",), http_answer(b'{"items": [], "next": "1"}'))
@example(("operations",), http_answer(b'{"items": [{}], "next": "1"}'))
@example(("operation", "1-7"), http_answer(b'{"id": []}'))
@example(("arm",), http_answer(b'{"errors": 5}', status=b"422 x"))
def test_every_answer_ends_in_a_sentence(impostor: Impostor, words: tuple[str, ...], answer: bytes) -> None:
    impostor.answer = answer
    run = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{impostor.port}", *words])
    assert run.exception is None or isinstance(run.exception, SystemExit), (run.exception, answer)
    assert run.exit_code in ENDS, (run.exit_code, run.output)
    assert "Traceback" not in run.output
    if run.exit_code != ExitCode.DONE:
        assert run.stderr.strip(), "it says why"


HOSTILE: Final = "\x1b]0;fenced\x07\x1b[2J\nnode-9: fenced\x9b31m\u202e\x00"
"""A window title, a cleared screen, a forged line, a colour, right-to-left text."""


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("status", [b"200 OK", b"409 x", b"503 x"])
def test_nothing_that_others_wrote_is_obeyed_by_the_terminal(
    impostor: Impostor, words: tuple[str, ...], status: bytes
) -> None:
    for sample in SAMPLES:
        impostor.answer = http_answer(json.dumps(_poisoned(sample)).encode(), status=status)
        run = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{impostor.port}", *words])
        lines = run.output.split("\n")
        assert all(line.isprintable() for line in lines), run.output
        assert not any(line.startswith("node-9") for line in lines), run.output


def _poisoned(value: Any) -> Any:
    """The same answer with hostile text after every value that a person or device may have written."""
    if isinstance(value, dict):
        return {key: part if key in WORDS else _poisoned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_poisoned(part) for part in value]
    return value + HOSTILE if isinstance(value, str) else value


WORDS: Final = frozenset({"state", "action", "started", "ended", "since", "what", "outcome", "verdict", "next"})
"""Written by the daemon only, and parsed by `fencectl`."""
