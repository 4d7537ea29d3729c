"""The beat with Mosquitto: its messages, its end, its reconnects, and what it says to systemd."""

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import is_machine_shutting_down
from tests.beat.program import (
    HEALTH,
    INSTALLED,
    PRESENCE,
    beating,
    listening,
    messages_until,
    next_health,
    next_message,
    running,
    url,
)
from tests.bus.parts import Mosquitto, mosquitto
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def test_it_sends_presence_and_heartbeats(tmp_path: Path) -> None:
    options = ("--workloads", "3", "--role", "spm", "--role", "db")
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, url(broker), *options):
            presence = await anext(reader.messages)
            assert (presence.topic.value, presence.payload) == (PRESENCE, b"online")
            first, second = await next_health(reader), await next_health(reader)
            message = await next_message(reader, HEALTH)
            async with listening(broker.port) as late:
                assert (await next_message(late, PRESENCE)).retain
    assert first["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (first["status"], first["interval"], first["workloads"], first["roles"]) == ("ok", 0.1, 3, ["spm", "db"])
    assert second["seq"] > first["seq"]
    properties: Any = message.properties
    assert 0 < properties.MessageExpiryInterval <= 15  # what a bridge kept longer is no sign of life


async def test_from_a_file_as_fenced_beat(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        file = tmp_path / "beat.toml"
        file.write_text(f'[beat]\nbus = "{url(broker)}"\nsite = "lab"\nhost = "node-1"\ninterval = "200ms"\n')
        with running(tmp_path, "-c", str(file), program=INSTALLED) as beat:
            assert (await next_health(reader))["interval"] == 0.2
            assert await beat.ended(signal.SIGINT) == 0
        assert beat.log == "INFO beat_connected\n"


def test_a_wrong_file_lists_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "beat.toml"
    file.write_text('[beat]\nbus = "http://a"\ninterval = "5"\nhostt = "node-1"\n')
    done = subprocess.run([*INSTALLED, "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 78
    for path in ("beat.bus", "beat.interval", "beat.hostt"):
        assert path in done.stderr
    done = subprocess.run([*INSTALLED, "-c", "/nowhere"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (78, "/nowhere: no such file\n")
    assert subprocess.run([*INSTALLED, "--bus", "x"], capture_output=True, check=False).returncode == 2
    done = subprocess.run([*INSTALLED, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: fenced beat" in done.stdout


async def test_the_sequence_rises_over_a_restart_in_the_same_boot(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, url(broker), "--boot", "b-1"):
            before = await next_health(reader)
        with beating(tmp_path, url(broker), "--boot", "b-1", "--qos", "0"):
            after = await next_health(reader)
    assert before["boot"] == after["boot"] == "b-1"
    assert after["seq"] > before["seq"]


async def test_a_restart_of_the_service_is_not_the_machine_stopping(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, url(broker)) as beat:
            await next_health(reader)
            assert await beat.ended() == 0
        await reader.publish("fenced/v1/lab/presence/end", b"end", qos=1)
        said = await messages_until(reader, ("presence", "end"))
    assert ("health", "stopping") not in said
    assert ("presence", "offline") not in said


async def test_it_sends_stopping_when_the_machine_shuts_down(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, url(broker), systemctl="stopping") as beat:
            await next_health(reader)
            assert await beat.ended() == 0
            said = await messages_until(reader, ("presence", "offline"))
    assert said[-2:] == [("health", "stopping"), ("presence", "offline")]


async def test_the_will_is_published_for_a_killed_program(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as reader:
        with beating(tmp_path, url(broker)) as beat:
            await next_health(reader)
            beat.process.kill()
            said = await messages_until(reader, ("presence", "offline"))
        async with listening(broker.port) as late:
            message = await next_message(late, PRESENCE)
    assert ("health", "stopping") not in said
    assert (message.payload, message.retain) == (b"offline", True)


async def test_it_reconnects_to_a_restarted_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with beating(tmp_path, url(broker)) as beat:  # the broker does not run yet
        await beat.logged("beat_unreachable reason=Connection refused")
        for _ in (1, 2):
            await broker.start()
            async with listening(broker.port) as reader:
                await next_health(reader)
            broker.stop()
        assert await beat.ended() == 0
    assert beat.log.splitlines()[:2] == ["WARNING beat_unreachable reason=Connection refused", "INFO beat_connected"]
    assert beat.log.count("beat_unreachable") <= 2


async def test_it_notifies_systemd(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    received: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)

        def has(line: str) -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    received.extend(systemd.recv(4096).decode().splitlines())
            return received.count(line) >= 2 if line == "WATCHDOG=1" else line in received

        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
        port = free_port()
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}", interval="1h", environment=environment) as beat:
            await until(lambda: has("WATCHDOG=1"), what="two pings, without a broker")
            await until(lambda: has("STATUS=heartbeats do not arrive: Connection refused"), what="the status line")
            broker = Mosquitto(tmp_path, port=port)
            await broker.start()
            await beat.logged("beat_connected")
            received.clear()
            await until(lambda: has("WATCHDOG=1"), what="two pings between two heartbeats")
            assert await beat.ended() == 0
            broker.stop()
            await until(lambda: has("STOPPING=1"))
        environment = {**environment, "WATCHDOG_PID": "1"}
        received.clear()
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}", environment=environment):
            await until(lambda: has("STATUS=heartbeats do not arrive: Connection refused"))
    assert received[:2] == ["READY=1", "STATUS=heartbeats of node-1"]
    assert "WATCHDOG=1" not in received, "it is another process's watchdog"


@pytest.mark.parametrize(
    ("state", "runlevel", "expected"),
    [
        ("stopping", "N 5", True),
        ("running", "5 6", False),
        ("degraded", "", False),
        ("offline", "5 0", True),
        ("offline", "5 6", True),
        ("offline", "N 5", False),
        ("", "unknown", False),
    ],
)
def test_how_a_shutdown_is_detected(
    state: str, runlevel: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, text in (("systemctl", state), ("runlevel", runlevel)):
        (tmp_path / program).write_text(f"#!/bin/sh\necho {text}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert is_machine_shutting_down() is expected


def test_a_hanging_systemctl_does_not_hold_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(fenced_beat, "SHUTDOWN_CHECK_SECONDS", 0.2)
    started = time.monotonic()
    assert is_machine_shutting_down() is False
    assert time.monotonic() - started < 50, "it waited for the end of the sleep"
