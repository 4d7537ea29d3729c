"""Run the beat as a program, as a host does: the file alone, without this package and its libraries."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiomqtt

from fenced.beat import fenced_beat
from tests.bus.parts import Mosquitto, other
from tests.net import until

FILE: Final = fenced_beat.__file__
ALONE: Final = [sys.executable, "-IS", "-W", "error", FILE]
INSTALLED: Final = [sys.executable, "-c", "from fenced.cli.main import main; main()", "beat"]
"""`fenced beat`"""
NOTHING: Final[Mapping[str, str]] = {}
HEALTH: Final = "fenced/v1/lab/health/node-1"
PRESENCE: Final = "fenced/v1/lab/presence/node-1"


class Beating:
    """A running beat. What it logs is read when it has ended, or with `logged`."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def logged(self, text: str, times: int = 1) -> None:
        await until(lambda: self.log.count(text) >= times, what=f"{times} times {text!r} in the log")

    async def ended(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; return the exit status."""
        self.process.send_signal(number)
        await until(lambda: self.process.poll() is not None, what="the end of the program")
        return int(self.process.wait())


@contextlib.contextmanager
def running(
    folder: Path, *arguments: str, program: list[str] = ALONE, environment: Mapping[str, str] = NOTHING
) -> Iterator[Beating]:
    """Run the program with these arguments during the block."""
    log = folder / f"beat-{len(list(folder.glob('beat-*.log')))}.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*program, *arguments], env={**os.environ, **environment}, stderr=out)
    try:
        yield Beating(process, log)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def beating(
    folder: Path,
    url: str,
    *options: str,
    systemctl: str = "running",
    interval: str = "100ms",
    program: list[str] = ALONE,
    environment: Mapping[str, str] = NOTHING,
) -> Iterator[Beating]:
    """Beat for node-1 of site lab, on a machine where `systemctl is-system-running` prints `systemctl`."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    fake = programs / "systemctl"
    fake.write_text(f'#!/bin/sh\n[ "$*" = is-system-running ] && echo {systemctl}\n')
    fake.chmod(0o755)
    place = ["--api" if url.startswith("http") else "--bus", url, "--site", "lab", "--host", "node-1"]
    path = f"{programs}:{os.environ['PATH']}"
    arguments = [*place, "--interval", interval, *options]
    with running(folder, *arguments, program=program, environment={**environment, "PATH": path}) as beat:
        yield beat


def url(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


@contextlib.asynccontextmanager
async def listening(port: int, *, is_version_5: bool = True) -> AsyncIterator[aiomqtt.Client]:
    """Yield a client that is subscribed to everything of site lab."""
    async with other(port, is_version_5=is_version_5) as reader:
        await reader.subscribe("fenced/v1/lab/#", qos=1)
        yield reader


async def next_message(reader: aiomqtt.Client, topic: str) -> aiomqtt.Message:
    async with asyncio.timeout(20):
        async for message in reader.messages:
            if message.topic.value == topic:
                return message
    raise AssertionError("the connection ended")


async def next_health(reader: aiomqtt.Client) -> dict[str, Any]:
    message = await next_message(reader, HEALTH)
    assert not message.retain
    assert isinstance(message.payload, bytes)
    return dict(json.loads(message.payload))


async def messages_until(reader: aiomqtt.Client, last: tuple[str, str]) -> list[tuple[str, str]]:
    """Return (kind of topic, status or presence) of all messages up to `last`."""
    said: list[tuple[str, str]] = []
    async with asyncio.timeout(20):
        async for message in reader.messages:
            kind = message.topic.value.split("/")[3]
            assert isinstance(message.payload, bytes)
            text = message.payload.decode()
            said.append((kind, text if kind == "presence" else json.loads(text)["status"]))
            if said[-1] == last:
                break
    return said
