"""What the beat does with an order: says that it stops and shuts down, or says why not. Without a broker."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import Beat, Mqtt, Notify, Refused, Settings, Unreachable, Waiting
from tests.beat.order_desk import BODY, Host


class Way(Mqtt):
    """A connection that notes what is sent. `during`: what happens while the broker acknowledges a heartbeat."""

    def __init__(self, settings: Settings, waiting: Waiting) -> None:
        super().__init__(settings, waiting)
        self.said: list[Any] = []
        self.during: Exception | None = None

    def send(self, payload: bytes) -> None:
        self.said.append(json.loads(payload)["status"])
        if self.during is not None:
            raise self.during

    def say_evidence(self, payload: bytes) -> None:
        self.said.append(json.loads(payload))

    def rest(self, until: float) -> None:
        self._waiting.until(until)


class Desk:
    """A beat that takes orders. `script`: its shutdown program; it writes `down` in the folder."""

    def __init__(self, host: Host, waiting: Waiting, folder: Path) -> None:
        self.host, self.down, self.script = host, folder / "down", folder / "shutdown"
        self.runs('echo down >> "$1"')
        host.settings.shutdown_command = (str(self.script), str(self.down))
        self.way = Way(host.settings, waiting)
        self.beat = Beat(host.settings, self.way, waiting, Notify())
        self.beat._orders.sent(7)

    def runs(self, line: str) -> None:
        self.script.write_text(f"#!/bin/sh\n{line}\n")
        self.script.chmod(0o755)

    def take(self, **changes: object) -> None:
        self.beat._take(json.dumps(BODY | changes).encode())

    @property
    def busy(self) -> str:
        """The reason of the last `busy`."""
        said = self.way.said[-1]
        assert (said["kind"], said["alive"], said["ttl"]) == ("busy", True, 60)
        return str(said["reason"])


@pytest.fixture
def desk(host: Host, waiting: Waiting, tmp_path: Path) -> Desk:
    return Desk(host, waiting, tmp_path)


def test_it_says_stopping_and_shuts_down_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.take()
    desk.take()
    desk.take(token="4-119")
    assert desk.way.said == ["stopping"]
    assert desk.down.read_text() == "down\n"
    logged = capsys.readouterr().err
    assert "INFO beat_order_obeyed id=4-118 token=4-118 reason=saving\n" in logged
    assert logged.count("beat_order_ignored") == 2


def test_work_that_began_meanwhile_keeps_it_awake(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    send = desk.way.send

    def slow(payload: bytes) -> None:
        send(payload)
        desk.host.write("1")

    monkeypatch.setattr(desk.way, "send", slow)
    desk.take()
    assert desk.busy == "1 workloads run here"
    assert not desk.down.exists()


def test_it_does_not_go_down_unannounced(desk: Desk) -> None:
    desk.way.during = Unreachable("the broker did not acknowledge")
    with pytest.raises(Unreachable):
        desk.take()
    desk.way.during = Refused("not authorized")
    desk.take(token="4-119")
    assert desk.busy == "the broker refused `stopping`"
    assert not desk.down.exists()


def test_a_refusal_says_why(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.take(boot="b-2")
    assert desk.busy == "it is for another boot of this host"
    assert "WARNING beat_order_refused id=4-118 token=4-118 reason=it is for another boot" in capsys.readouterr().err
    desk.beat._take(b"x")
    assert desk.busy == "it is no JSON"
    assert not desk.down.exists()


def test_a_program_that_fails_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.runs("exit 3")
    desk.take()
    assert desk.way.said[0] == "stopping"
    assert desk.busy.endswith("shutdown failed with status 3")
    monkeypatch.setattr(fenced_beat, "SHUTDOWN_COMMAND_SECONDS", 0.2)
    desk.runs('echo $$ > "$1"; exec sleep 60')
    desk.take(token="4-119")
    assert desk.busy.endswith("did not end within 0.2 s")
    with pytest.raises(ProcessLookupError):
        os.kill(int(desk.down.read_text()), signal.SIGCONT)
    desk.script.unlink()
    desk.take(token="4-120")
    assert "can't run" in desk.busy
    assert desk.beat._going_down_until is None


def test_a_machine_that_does_not_go_down_says_ok_again(desk: Desk) -> None:
    desk.take()
    desk.beat._give_up_going_down()
    assert desk.way.said == ["stopping"]
    desk.host.clock.go(600.0)
    desk.beat._give_up_going_down()
    assert desk.busy == "this machine did not go down within 600 s"
    assert desk.beat._going_down_until is None
