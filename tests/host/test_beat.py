"""`fenced beat` as a program with Mosquitto: its messages, its end, its reconnects."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from fenced.host.beat import is_machine_shutting_down
from tests.bus.parts import Mosquitto, mosquitto, other
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

PROGRAM = [sys.executable, "-c", "from fenced.cli.main import main; main()", "beat"]


@contextlib.contextmanager
def running_program(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def beating(
    port: int, *options: str, systemctl: str = "running", folder: Path, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the program on a machine where `systemctl is-system-running` prints `systemctl`."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    fake = programs / "systemctl"
    fake.write_text(f'#!/bin/sh\n[ "$*" = is-system-running ] && echo {systemctl}\n')
    fake.chmod(0o755)
    arguments = ["--bus", f"mqtt://127.0.0.1:{port}", "--site", "lab", "--host", "node-1", "--interval", "100ms"]
    path = f"{programs}:{os.environ['PATH']}"
    with running_program(*arguments, *options, PATH=path, **environment) as process:
        yield process


@contextlib.asynccontextmanager
async def listening(broker: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    async with other(broker.port) as reader:
        await reader.subscribe("fenced/v1/lab/#", qos=1)
        yield reader


async def next_health(reader: aiomqtt.Client) -> dict[str, Any]:
    async with asyncio.timeout(20):
        async for message in reader.messages:
            if message.topic.value == "fenced/v1/lab/health/node-1":
                assert not message.retain
                return dict(json.loads(message.payload))
    raise AssertionError("the connection ended")


async def messages_until(reader: aiomqtt.Client, last: tuple[str, str]) -> list[tuple[str, str]]:
    """Return (kind of topic, status or presence) of all messages up to `last`."""
    said: list[tuple[str, str]] = []
    async with asyncio.timeout(20):
        async for message in reader.messages:
            kind = message.topic.value.split("/")[3]
            text = message.payload.decode()
            said.append((kind, text if kind == "presence" else json.loads(text)["status"]))
            if said[-1] == last:
                break
    return said


async def ended(process: "subprocess.Popen[str]") -> int:
    await until(lambda: process.poll() is not None, what="the end of the program")
    assert process.returncode is not None
    return process.returncode


async def test_it_sends_presence_and_heartbeats(tmp_path: Path) -> None:
    options = ("--workloads", "3", "--role", "spm", "--role", "db")
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        with beating(broker.port, *options, folder=tmp_path):
            presence = await anext(reader.messages)
            assert (presence.topic.value, presence.payload) == ("fenced/v1/lab/presence/node-1", b"online")
            first, second = await next_health(reader), await next_health(reader)
    assert first["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (first["status"], first["interval"], first["workloads"], first["roles"]) == ("ok", 0.1, 3, ["spm", "db"])
    assert second["seq"] > first["seq"]


async def test_from_a_file(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        file = tmp_path / "beat.toml"
        where = f'bus = "mqtt://127.0.0.1:{broker.port}"'
        file.write_text(f'[beat]\n{where}\nsite = "lab"\nhost = "node-1"\ninterval = "200ms"\n')
        with running_program("-c", str(file)) as process:
            assert (await next_health(reader))["interval"] == 0.2
            process.send_signal(signal.SIGINT)
            assert await ended(process) == 0


def test_a_wrong_file_lists_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "beat.toml"
    file.write_text('[beat]\nbus = "http://a"\ninterval = "5"\nhostt = "node-1"\n')
    done = subprocess.run([*PROGRAM, "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 78
    for path in ("beat.bus", "beat.interval", "beat.hostt"):
        assert path in done.stderr
    assert subprocess.run([*PROGRAM, "-c", "/nowhere"], capture_output=True, check=False).returncode == 78


def test_a_beat_does_not_read_the_machines_addresses(tmp_path: Path) -> None:
    """Its unit forbids it (RestrictAddressFamilies), which caused a warning at each start."""
    file = tmp_path / "beat.toml"
    file.write_text('[beat]\nbus = "http://a"\n')
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([*PROGRAM, "-c", str(file)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 78
    assert "fenced.config.agent_files" in done.stderr, "the program did not read the file"
    assert "fenced.app.own_machine" not in done.stderr


async def test_it_starts_fast(tmp_path: Path) -> None:
    """Compare the time to the first heartbeat with the least that it needs, best against best, in turns."""
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        best = floor = float("inf")
        for number in range(4):
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", "import aiomqtt"], check=True)
            floor = min(floor, time.monotonic() - started)
            started = time.monotonic()
            with beating(broker.port, "--boot", f"b-{number}", folder=tmp_path):
                while (await next_health(reader))["boot"] != f"b-{number}":
                    pass
            best = min(best, time.monotonic() - started)
    assert best < 3 * floor, f"{best:.2f} s beside {floor:.2f} s of an interpreter with a client for MQTT"


async def test_the_sequence_rises_over_a_restart_in_the_same_boot(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        with beating(broker.port, "--boot", "b-1", folder=tmp_path):
            before = await next_health(reader)
        with beating(broker.port, "--boot", "b-1", "--qos", "0", folder=tmp_path):
            after = await next_health(reader)
    assert before["boot"] == after["boot"] == "b-1"
    assert after["seq"] > before["seq"]


async def test_a_restart_of_the_service_is_not_the_machine_stopping(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        with beating(broker.port, folder=tmp_path) as process:
            await next_health(reader)
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
        await reader.publish("fenced/v1/lab/presence/end", b"end", qos=1)
        said = await messages_until(reader, ("presence", "end"))
    assert ("health", "stopping") not in said
    assert ("presence", "offline") not in said


async def test_it_sends_stopping_when_the_machine_shuts_down(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        with beating(broker.port, folder=tmp_path, systemctl="stopping") as process:
            await next_health(reader)
            process.send_signal(signal.SIGTERM)
            said = await messages_until(reader, ("presence", "offline"))
            assert await ended(process) == 0
    assert said[-2:] == [("health", "stopping"), ("presence", "offline")]


async def test_the_will_is_published_for_a_killed_program(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker) as reader:
        with beating(broker.port, folder=tmp_path) as process:
            await next_health(reader)
            process.kill()
            said = await messages_until(reader, ("presence", "offline"))
    assert ("health", "stopping") not in said


async def test_it_reconnects_to_a_restarted_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with beating(broker.port, folder=tmp_path) as process:  # the broker does not run yet
        for _ in (1, 2):
            await broker.start()
            async with listening(broker) as reader:
                await next_health(reader)
            broker.stop()
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


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

        def has_trouble() -> bool:
            has("")
            return any(line.startswith("STATUS=") and line != received[1] for line in received)

        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
        with beating(free_port(), folder=tmp_path, **environment) as process:
            await until(lambda: has("WATCHDOG=1"), what="two pings, without a broker")
            await until(has_trouble, what="the status line of a missing broker")
            process.send_signal(signal.SIGTERM)
            await until(lambda: has("STOPPING=1"))
            assert await ended(process) == 0
    assert received[:2] == ["READY=1", "STATUS=heartbeats of node-1"]


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
async def test_how_a_shutdown_is_detected(
    state: str, runlevel: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, text in (("systemctl", state), ("runlevel", runlevel)):
        (tmp_path / program).write_text(f"#!/bin/sh\necho {text}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert await is_machine_shutting_down() is expected


async def test_a_hanging_systemctl_does_not_hold_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("fenced.host.beat.SHUTDOWN_CHECK_SECONDS", 0.2)
    started = time.monotonic()
    assert await is_machine_shutting_down() is False
    assert time.monotonic() - started < 50, "it waited for the end of the sleep"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "either -c FILE, or --bus URL"),
        (["--bus", "mqtt://127.0.0.1"], "--bus needs --host"),
        (["--bus", "http://127.0.0.1", "--host", "a"], "begin with mqtt://"),
        (["--bus", "mqtt://me:secret@127.0.0.1", "--host", "a"], "never written inline"),
        (["--bus", "mqtt://127.0.0.1", "--host", "a/b"], "can't be a level"),
        (["--bus", "mqtt://127.0.0.1", "--host", "a", "--interval", "5"], "not a duration"),
        (["--bus", "mqtt://127.0.0.1", "--host", "a", "--interval", "0s"], "longer than 0"),
        (["--bus", "mqtt://127.0.0.1", "--host", "a", "--password-file", "/nowhere"], "no such file"),
    ],
)
def test_wrong_options_are_reported(arguments: list[str], text: str) -> None:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert text in done.stderr
