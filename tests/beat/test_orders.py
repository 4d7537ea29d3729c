"""Which orders the beat obeys, and the settings for that, without a broker."""

import json
from pathlib import Path
from typing import Final

import pytest

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import Mqtt, Order, Unreachable, Waiting
from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.model.names import BootId, HostName, OperationId, Token
from fenced.ports.bus import ShutdownOrder
from tests.beat.order_desk import BODY, Host, order
from tests.beat.test_settings import keys, loaded

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


@pytest.mark.parametrize("level", [4, 5])
def test_which_packets_bring_an_order(level: int, host: Host, waiting: Waiting) -> None:
    """Of our topic, not retained, and no more than a few at once."""
    way = Mqtt(host.settings, waiting)
    way._level = level
    properties = b"\x05\x02\x00\x00\x00\x1e" if level == 5 else b""

    def arrives(first: int, topic: str = "fenced/v1/site-1/command/node-1") -> list[bytes]:
        number = b"\x00\x01" if first & 0x06 else b""
        way._keep(first, fenced_beat._text(topic) + number + properties + b"{}")
        return way.orders

    assert arrives(0x31) == arrives(0x33) == []
    assert arrives(0x30, "fenced/v1/site-1/command/node-2") == []
    assert arrives(0x30) == [b"{}"]
    for first in (0x32, 0x34, 0x30, 0x30, 0x30):
        arrives(first)
    assert way.orders == [b"{}"] * fenced_beat.ORDERS_MAX
    way.orders.clear()
    host.settings.obey = ()
    assert arrives(0x30) == []


def test_a_cut_packet_is_no_order(host: Host, waiting: Waiting) -> None:
    way = Mqtt(host.settings, waiting)
    for end in (b"", b"\x05\x02", b"\xff\xff\xff\xff\x01"):
        with pytest.raises(Unreachable, match="no MQTT 5"):
            way._keep(0x30, fenced_beat._text("fenced/v1/site-1/command/node-1") + end)


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
