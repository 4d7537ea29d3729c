"""An installation of two controllers: a real API server each, in front of fake engines. fenced-b is the standby."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fenced.api.server import build_app, serve
from fenced.cli.fencectl.client import Client
from fenced.cli.fencectl.controllers import Controllers
from fenced.model.api_tokens import ApiToken
from tests.api.conftest import expose
from tests.fakes.control import FakeClock, FakeControl
from tests.fakes.controllers import controller

T = TypeVar("T")
SECONDS = 5.0


@dataclass(kw_only=True)
class Node:
    """One controller. `answers`: the routes that were called, with the status."""

    url: str
    control: FakeControl
    answers: list[tuple[str, int]] = field(default_factory=list)
    stop: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def changes(self) -> list[tuple[str, int]]:
        """The requests that were no reads of the daemon itself."""
        return [answer for answer in self.answers if answer[0] != "/readyz"]


@dataclass(kw_only=True)
class Installation:
    """`a` acts and `b` follows it, until a test changes that."""

    a: Node
    b: Node

    @property
    def both(self) -> str:
        """The value of --url, the standby first."""
        return f"{self.b.url},{self.a.url}"

    def take_over(self) -> None:
        """Let fenced-b act, and fenced-a follow it."""
        a, b = self.a.control, self.b.control
        a.follow(self.b.url)
        a.name, b.name, b.standby = "fenced-a", "fenced-b", None
        views = [
            controller("fenced-a", address=self.a.url),
            controller("fenced-b", epoch=8, address=self.b.url),
        ]
        a.controller_views = b.controller_views = views


@contextlib.asynccontextmanager
async def node(
    control: FakeControl, *, tokens: tuple[ApiToken, ...] = (), certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[Node]:
    """Serve one controller. `certificate`: with its key, for https."""
    answers: list[tuple[str, int]] = []
    app = build_app(
        control, tokens=tokens, requests_per_second=1000, has_tcp_writes=True, metrics=expose, clock=FakeClock(),
        count_answer=lambda route, status: answers.append((route, status)),
    )  # fmt: skip
    cert, key = ("", "") if certificate is None else map(str, certificate)
    async with contextlib.AsyncExitStack() as stack:
        serving = await stack.enter_async_context(serve(app, "127.0.0.1:0", tls_cert_file=cert, tls_key_file=key))
        yield Node(url=serving.url, control=control, answers=answers, stop=stack)


@contextlib.asynccontextmanager
async def installation(
    *, tokens: tuple[ApiToken, ...] = (), certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[Installation]:
    """Serve fenced-a, which acts, and its standby fenced-b."""
    async with (
        node(FakeControl(), tokens=tokens, certificate=certificate) as a,
        node(FakeControl(), tokens=tokens, certificate=certificate) as b,
    ):
        b.control.follow(a.url)
        a.control.controller_views = [
            controller("fenced-a", epoch=7, address=a.url, is_self=True),
            controller("fenced-b", address=b.url),
        ]
        yield Installation(a=a, b=b)


def controllers(*urls: str, token: str | None = None, ca_file: Path | None = None) -> Controllers:
    """Return what `fencectl` uses for these addresses, with short deadlines."""

    def opened(url: str) -> Client:
        ca = None if ca_file is None else str(ca_file)
        return Client(url, token=token, ca_file=ca, by="alice", timeout_seconds=SECONDS, connect_seconds=SECONDS)

    return Controllers(urls, opened, has_ca_file=ca_file is not None)


async def call(of: Controllers, what: Callable[[Controllers], T]) -> T:
    """Call a client that waits, beside the servers in this loop; close it."""

    def called() -> T:
        try:
            return what(of)
        finally:
            of.close()

    return await asyncio.to_thread(called)


def disarm(of: Controllers) -> dict[str, object]:
    """A change that every controller knows."""
    return of.send("POST", "fleet", "disarm", body={"reason": "test"})
