"""Parts for tests of orders without a broker."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import Notify, Waiting
from tests.beat.order_desk import Clock, Host


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(fenced_beat, "uptime", lambda: found.now)
    monkeypatch.setattr(time, "time", lambda: found.wall)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return found


@pytest.fixture
def host(tmp_path: Path, clock: Clock) -> Host:
    return Host(tmp_path, clock)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """A `Waiting` without signal handlers."""
    one, other = socket.socketpair()

    class Still(Waiting):
        def __init__(self) -> None:
            self.is_stopping = False
            self._notify = Notify()
            self._signals = one.fileno()

    with one, other:
        yield Still()
