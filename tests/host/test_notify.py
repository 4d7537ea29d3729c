"""sd_notify(3) on real datagram sockets."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fenced.host.notify import Notify


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield listener


def test_notifications_arrive(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with systemd(path) as listener:
        notify = Notify({"NOTIFY_SOCKET": path})
        notify.ready("two\nlines " + "x" * 500)
        first, status = listener.recv(4096).decode().split("\n")
        assert first == "READY=1"
        assert status.startswith("STATUS=two lines x")
        assert len(status) <= len("STATUS=") + 200
        notify.status("")
        notify.watchdog()
        assert listener.recv(4096) == b"WATCHDOG=1"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify.reloading()
        first, moment = listener.recv(4096).decode().split("\n")
        assert first == "RELOADING=1"
        assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) < before + 5_000_000
        notify.stopping("bye")
        assert listener.recv(4096) == b"STOPPING=1\nSTATUS=bye"


def test_an_abstract_socket() -> None:
    name = f"fenced-{uuid.uuid4()}"
    with systemd(f"\0{name}") as listener:
        Notify({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert listener.recv(4096) == b"READY=1"


def test_without_a_listener_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "x" * 200}):
        notify = Notify(environment)
        notify.ready("a")
        notify.watchdog()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_when_the_watchdog_is_due(environment: dict[str, str], seconds: float | None) -> None:
    assert Notify(environment).watchdog_seconds == seconds
