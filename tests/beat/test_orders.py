"""What the beat makes of an order, of its workloads file and of its settings for them, without a broker."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import (
    Beat,
    Mqtt,
    Notify,
    Order,
    Orders,
    Refused,
    Settings,
    Unreachable,
    Waiting,
    Workloads,
)
from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.model.names import BootId, HostName, OperationId, Token
from fenced.ports.bus import ShutdownOrder
from tests.beat.test_settings import keys, loaded

BODY: Final[dict[str, Any]] = {
    "id": "4-118", "token": "4-118", "boot": "b-1", "seq": 7, "within": 30, "do": "shutdown", "reason": "saving",
}  # fmt: skip


class Clock:
    """The clock since the boot, and the wall clock beside it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000.0

    def go(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(fenced_beat, "uptime", lambda: found.now)
    monkeypatch.setattr(time, "time", lambda: found.wall)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return found


def order(**changes: object) -> Order:
    return Order(json.dumps(BODY | changes).encode())


class Host:
    """A host of boot b-1 with no workloads, whose heartbeat 7 was just sent."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock, self.file = clock, folder / "workloads"
        texts = {key: default for key, default, *_ in fenced_beat.KEYS if isinstance(default, str)}
        texts |= {"host": "node-1", "workloads_file": str(self.file)}
        self.settings = Settings("mqtts", "broker", 8883, texts)
        self.settings.boot, self.settings.obey = "b-1", ("shutdown",)
        self.write("0\n")
        self.begin()

    def begin(self) -> None:
        """Start the program, and send a heartbeat."""
        self.workloads = Workloads(self.settings)
        self.orders = Orders(self.settings, self.workloads)
        self.orders.sent(7)

    def write(self, text: str, age: float = 0.0) -> None:
        self.file.write_text(text)
        os.utime(self.file, (self.clock.wall - age, self.clock.wall - age))

    def why(self, **changes: object) -> str:
        return self.orders.why_not_new(order(**changes))


@pytest.fixture
def host(tmp_path: Path, clock: Clock) -> Host:
    return Host(tmp_path, clock)


# -- orders -----------------------------------------------------------------------------------------------------------


def test_a_whole_order_is_obeyed(host: Host) -> None:
    assert host.why() == ""
    assert str(order()) == "id=4-118 token=4-118"


def test_it_reads_what_the_daemon_writes() -> None:
    said = messages.command(
        Topics(site="lab"),
        HostName("node-1"),
        ShutdownOrder(
            id=OperationId("4-1"),
            token=Token(epoch=4, sequence=2),
            boot=BootId("b"),
            seq=9,
            within_seconds=29.5,
            reason="nobody needs\nit",
        ),
    )
    assert (said.topic, said.is_retained, said.expiry_seconds) == ("fenced/v1/lab/command/node-1", False, 30)
    read = Order(said.payload)
    assert (read.id, read.token, read.boot, read.sequence) == ("4-1", (4, 2), "b", 9)
    assert (read.within, read.do, read.reason) == (29.5, "shutdown", "nobody needs it")
    assert set(json.loads(said.payload)) == set(BODY)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 601.0])
def test_the_daemon_sends_no_order_without_time(seconds: float) -> None:
    wrong = ShutdownOrder(
        id=OperationId("4-1"), token=Token(epoch=4, sequence=2), boot=BootId("b"), seq=9, within_seconds=seconds,
        reason="",
    )  # fmt: skip
    with pytest.raises(ValueError, match="within"):
        messages.command(Topics(site="lab"), HostName("node-1"), wrong)


MALFORMED: Final = (
    b"", b"x", b"[]", b"\xff", b'"' * 9, b"[" * 100_000, b'{"seq":' + b"9" * 5000 + b"}", *(
        json.dumps({name: value for name, value in BODY.items() if name != key}).encode()
        for key in BODY
    ),
)  # fmt: skip
WRONG: Final[tuple[dict[str, object], ...]] = (
    {"id": ""}, {"id": 4}, {"token": "4"}, {"token": "4-x"}, {"token": "-1-4"}, {"token": "\u0664-1"},
    {"token": "1" * 19 + "-1"}, {"boot": ""}, {"boot": None}, {"seq": "7"}, {"seq": 7.0}, {"seq": True},
    {"within": 0}, {"within": -1}, {"within": 601}, {"within": True}, {"within": "30"}, {"within": float("nan")},
    {"within": float("inf")}, {"do": ["shutdown"]}, {"reason": None}, {"reason": "x" * 5000},
)  # fmt: skip


def test_what_is_no_order_is_none() -> None:
    for payload in (*MALFORMED, *(json.dumps(BODY | wrong).encode() for wrong in WRONG)):
        with pytest.raises(ValueError, match=r"."):
            Order(payload)


def test_another_boot_is_not_obeyed(host: Host) -> None:
    assert "another boot" in host.why(boot="b-2")


def test_another_order_is_not_obeyed(host: Host) -> None:
    assert "does not obey 'reboot'" in host.why(do="reboot")


def test_nothing_is_obeyed_without_obey(host: Host) -> None:
    host.settings.obey = ()
    assert "does not obey" in host.why()


def test_it_counts_from_the_sending_of_the_heartbeat(host: Host) -> None:
    host.clock.go(30.0)
    host.write("0")
    assert host.why() == ""
    host.clock.go(0.01)
    host.write("0")
    assert "is late: its heartbeat was sent 30.0 s ago" in host.why(token="4-119")
    assert "did not send" in host.why(token="4-120", seq=8)


def test_a_wall_clock_that_jumps_makes_no_order_young(host: Host) -> None:
    host.clock.go(31.0)
    host.clock.wall -= 31.0
    host.write("0")
    assert "is late" in host.why()


def test_only_so_many_heartbeats_are_remembered(host: Host) -> None:
    for sequence in range(8, 8 + fenced_beat.SENT_MAX):
        host.orders.sent(sequence)
    assert "did not send" in host.why()
    assert host.why(token="4-119", seq=8) == ""


def test_an_old_token_is_not_obeyed_even_if_its_own_order_was_refused(host: Host) -> None:
    assert "another boot" in host.why(token="5-1", boot="b-2")
    assert host.orders.is_again(order(token="5-1"))
    for token in ("5-0", "4-999", "5-1"):
        assert "not above 5-1" in host.why(token=token)
    assert host.why(token="5-2") == ""


def test_the_token_outlives_the_program(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", f"{state}:/elsewhere")
    host.begin()
    assert host.why(token="5-1") == ""
    assert (state / "token").read_text() == "5-1\n"
    host.begin()
    assert host.orders.is_again(order(token="5-1"))
    assert "not above 5-1" in host.why(token="4-200")
    (state / "token").write_text("5-\n")
    host.begin()
    assert "token must be EPOCH-SEQUENCE; remove it" in host.why(token="6-1")
    assert capsys.readouterr().err.startswith("ERROR beat_orders_not_obeyed ")
    (state / "token").unlink()
    state.rmdir()
    host.begin()
    assert "can't keep its token" in host.why(token="6-1")
    assert host.orders.is_again(order(token="6-1"))


# -- workloads --------------------------------------------------------------------------------------------------------


def test_work_keeps_a_host_awake(host: Host) -> None:
    host.write("1")
    assert host.why() == "1 workloads run here"


@pytest.mark.parametrize("text", ["", "none", "-1", "0.0", "1e3", "0 0", "99999999", "1000001", "x" * 100, "\u0660"])
def test_a_file_that_is_no_number_says_nothing(text: str, host: Host) -> None:
    host.write(text)
    assert "nobody says that nothing runs here" in host.why()


def test_an_old_file_says_nothing(host: Host) -> None:
    host.write("0", age=15.1)  # three intervals of 5 s
    assert "more than 3 intervals ago" in host.why()
    host.write("0", age=14.9)
    assert host.why(token="4-119") == ""


def test_a_file_from_the_future_says_nothing(host: Host) -> None:
    host.write("0", age=-2.0)
    assert "in the future" in host.why()


def test_a_wall_clock_that_is_set_back_keeps_no_file_young(host: Host) -> None:
    assert host.workloads.read() == 0
    host.clock.go(15.1)
    host.clock.wall -= 15.1
    with pytest.raises(ValueError, match="more than 3 intervals ago"):
        host.workloads.read()
    host.write("0")
    os.utime(host.file, (host.clock.wall + 0.5,) * 2)
    assert host.workloads.read() == 0, "it was written anew"


def test_a_file_that_is_gone_says_nothing(host: Host) -> None:
    host.file.unlink()
    assert "No such file" in host.why()
    host.file.mkdir()
    assert "not a file" in host.why(token="4-119")


def test_without_a_file_the_option_says_it(host: Host) -> None:
    host.settings.workloads_file = ""
    assert Workloads(host.settings).read() is None
    host.settings.workloads = 3
    assert Workloads(host.settings).read() == 3


# -- obeying ----------------------------------------------------------------------------------------------------------


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


# -- settings ---------------------------------------------------------------------------------------------------------

GOOD: Final = 'obey = ["shutdown"]\nworkloads_file = "w"\nshutdown_command = ["/bin/true", "-f"]\n'
MISTAKES: Final = {
    f'{GOOD}bus = "mqtt://10.0.0.1"': ["obey"],
    f'{GOOD}bus = "mqtt://broker"': ["obey"],
    f'{GOOD}api = "https://broker"': ["obey"],
    'obey = ["shutdown"]': ["workloads_file"],
    'obey = ["reboot"]\nworkloads_file = "w"': ["obey"],
    'obey = "shutdown"': ["obey"],
    "obey = true": ["obey"],
    "shutdown_command = []": ["shutdown_command"],
    'shutdown_command = [""]': ["shutdown_command"],
    'shutdown_command = "poweroff"': ["shutdown_command"],
    'obey = ["shutdown"]\nworkloads_file = "w"\nshutdown_command = ["/nowhere/x"]': ["shutdown_command"],
    'obey = ["shutdown"]\nworkloads_file = "w"\nshutdown_command = ["no-such-program-here"]': ["shutdown_command"],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes(text: str, tmp_path: Path) -> None:
    settings, lines = loaded(tmp_path, text)
    assert settings is None
    assert keys(lines) == MISTAKES[text], lines


def test_off_loopback_orders_need_tls(tmp_path: Path) -> None:
    settings, lines = loaded(tmp_path, f'{GOOD}bus = "mqtt://10.0.0.1"')
    assert settings is None
    why = "anybody on the network could shut this machine down: use mqtts:// in bus"
    assert lines == [f"beat.obey: {why}"]


@pytest.mark.parametrize("bus", ["mqtt://127.0.0.1", "mqtt://[::1]", "mqtt://localhost", "mqtts://broker"])
def test_where_orders_are_obeyed(bus: str, tmp_path: Path) -> None:
    settings, lines = loaded(tmp_path, f'{GOOD}bus = "{bus}"')
    assert settings is not None, lines
    assert (settings.obey, settings.shutdown_command) == (("shutdown",), ("/bin/true", "-f"))
    assert settings.workloads_file == str(tmp_path / "w")
    assert lines == []


def test_by_default_nothing_is_obeyed(tmp_path: Path) -> None:
    settings, lines = loaded(tmp_path, "")
    assert settings is not None, lines
    assert (settings.obey, settings.workloads_file) == ((), "")
    assert settings.shutdown_command == ("systemctl", "poweroff")
