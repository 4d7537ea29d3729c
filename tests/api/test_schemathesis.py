"""schemathesis against the served API: what the OpenAPI document allows is accepted, what it forbids is rejected, and
every answer is documented. Cases that no schema can express are excluded below, by name.
"""

import asyncio
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fenced.api.openapi import document
from fenced.api.routes import ROUTES
from fenced.api.server import build_app, serve
from fenced.ports.reloading import ReloadVerdict
from tests.api.conftest import expose
from tests.fakes.control import FakeClock, FakeControl

EXAMPLES: Final = 12
ENDLESS: Final = "/api/v1/events"
DOCUMENT: Final = document(ROUTES)
DOCUMENTED: Final[dict[str, dict[str, Any]]] = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if path != ENDLESS
}
TAKES: Final = [
    name
    for name, operation in DOCUMENTED.items()
    if "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", ()))
]
"""Operations with input that can be wrong. A name in a path is any text, and an unknown one is a 404."""


@cache
def operations() -> dict[str, Any]:
    """Return the operations as schemathesis reads them. Only the worker that runs these tests imports it, a second."""
    import schemathesis
    from schemathesis.core.result import Ok

    found = schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    return {f"{each.ok().method.upper()} {each.ok().path}": each.ok() for each in found if isinstance(each, Ok)}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run a server in its own thread, because schemathesis sends requests without an event loop."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    found: list[str] = []
    stop = asyncio.Event()

    async def run() -> None:
        async def reload(_: str) -> ReloadVerdict:
            return ReloadVerdict()

        app = build_app(
            FakeControl(),
            tokens=(),
            requests_per_second=100_000,
            has_tcp_writes=True,
            metrics=expose,
            clock=FakeClock(),
            reload=reload,
        )
        async with serve(app, "127.0.0.1:0") as serving:
            found.append(serving.url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="served")
    thread.start()
    assert started.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def is_beyond_a_schema(case: Any) -> bool:
    """Return whether the case has a time (it may be past or too far away) or a host's name (it must match the path)."""
    body = case.body if isinstance(case.body, dict) else {}
    return body.get("until") is not None or body.get("host") is not None


def is_blank(case: Any) -> bool:
    """Return whether the body is white space: where a body may be left out, that counts as none."""
    body = getattr(case.body, "data", case.body)
    return isinstance(body, bytes) and not body.strip()


def probe(name: str, url: str, *, is_allowed: bool) -> None:
    from schemathesis.checks import CHECKS
    from schemathesis.generation import GenerationMode

    operation = operations()[name]
    acceptance, rejection = CHECKS.get_one("positive_data_acceptance"), CHECKS.get_one("negative_data_rejection")
    mode = GenerationMode.POSITIVE if is_allowed else GenerationMode.NEGATIVE

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        excluded = [acceptance] if is_beyond_a_schema(case) else []
        case.call_and_validate(base_url=url, excluded_checks=[*excluded, rejection] if is_blank(case) else excluded)

    ask()


def test_all_operations_but_the_endless_one_are_probed() -> None:
    assert operations().keys() - {f"GET {ENDLESS}"} == DOCUMENTED.keys()
    assert len(DOCUMENTED) == len(ROUTES) - 1
    assert [name for name, each in operations().items() if name in DOCUMENTED and (each.body or each.query)] == TAKES
    assert len(TAKES) > 10


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_document_allows_is_accepted(url: str, name: str) -> None:
    probe(name, url, is_allowed=True)


@pytest.mark.parametrize("name", TAKES)
def test_what_the_document_forbids_is_rejected(url: str, name: str) -> None:
    probe(name, url, is_allowed=False)
