"""A real API server on a real port, in front of the fake engine."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fenced.api.callers import Owner
from fenced.api.server import build_app, serve
from fenced.model.api_tokens import ApiToken
from fenced.model.inventory import Secret
from fenced.model.moments import Wall, as_steady
from fenced.net.unix_socket import listening_at
from tests.fakes.control import FakeClock, FakeControl

TOKENS = (
    ApiToken(role="viewer", secret=Secret("look-only-1")),
    ApiToken(role="operator", secret=Secret("work-2")),
    ApiToken(role="admin", secret=Secret("all-3")),
)


@dataclass(kw_only=True)
class Api:
    """The server, a client for it, and the fakes behind it."""

    url: str
    client: aiohttp.ClientSession
    control: FakeControl
    clock: FakeClock
    app: web.Application
    answers: list[tuple[str, int]] = field(default_factory=list)


def expose(accept: str) -> tuple[bytes, str]:
    """Return empty metrics that show the Accept header."""
    return b"# " + accept.encode() + b"\n", "text/plain; charset=utf-8"


async def start(
    *,
    tokens: tuple[ApiToken, ...] = (),
    per_second: float = 1000,
    wall: Wall = as_steady,
    has_tcp_writes: bool = True,
    hosts: tuple[str, ...] = (),
    socket: Path | None = None,
    owner: Owner | None = None,
    control: FakeControl | None = None,
    has_page: bool = True,
) -> AsyncIterator[Api]:
    control, clock = control or FakeControl(), FakeClock()
    answers: list[tuple[str, int]] = []
    app = build_app(
        control,
        tokens=tokens,
        requests_per_second=per_second,
        has_tcp_writes=has_tcp_writes,
        hosts=hosts,
        owner=owner,
        metrics=expose,
        clock=clock,
        wall=wall,
        count_answer=lambda route, status: answers.append((route, status)),
        has_page=has_page,
    )
    group = os.getegid() if owner is None else owner.group
    with contextlib.ExitStack() as stack:
        local = None if socket is None else stack.enter_context(listening_at(socket, group=group, backlog=64))
        async with serve(app, "127.0.0.1:0", local=local) as serving, aiohttp.ClientSession(serving.url) as client:
            yield Api(url=serving.url, client=client, control=control, clock=clock, answers=answers, app=app)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Without tokens and with `tcp_writes`: every local user may do everything."""
    async for made in start():
        yield made


@pytest.fixture
async def guarded_api() -> AsyncIterator[Api]:
    """With one token for each role."""
    async for made in start(tokens=TOKENS):
        yield made


@pytest.fixture
async def narrow_api() -> AsyncIterator[Api]:
    """Five requests a second for one client."""
    async for made in start(per_second=5):
        yield made
