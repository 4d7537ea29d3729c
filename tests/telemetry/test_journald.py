"""Entries of systemd's journal: their fields, entries larger than a datagram, and a journald that is away or stuck."""

import array
import fcntl
import json
import logging
import mmap
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from fenced.telemetry import logs
from fenced.telemetry.journald import CONFIRMED_OFF, MESSAGE_IDS, SEALS
from tests.house.tree import ROOT

log = structlog.stdlib.get_logger("fenced.engine")


class Journal:
    """journald's socket, and the stream that systemd connects to standard error; `lines` is its other end.

    `files`: how many entries came as a sealed file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "socket")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.stderr, self.lines = socket.socketpair()
        self.lines.setblocking(False)
        self.out = self.stderr.makefile("w")
        self.files = 0

    def entry(self) -> dict[str, list[str]]:
        """Return the fields of the next entry, each with its values."""
        data, rights, _, _ = self.socket.recvmsg(1 << 22, socket.CMSG_SPACE(4))
        for _, _, descriptors in rights:
            (descriptor,) = array.array("i", descriptors)
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == SEALS
            self.files += 1
            with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as file:
                data = bytes(file)
            os.close(descriptor)
        return parsed(data)

    def printed(self) -> str:
        """Return what went to standard error since the last call."""
        text = b""
        try:
            while part := self.lines.recv(1 << 20):
                text += part
        except BlockingIOError:
            pass
        return text.decode()

    def fill(self, sender: socket.socket, address: str | None = None) -> None:
        """Send until the kernel would make a sender wait."""
        sender.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                sender.sendto(b"MESSAGE=other\n", address) if address else sender.send(b"x" * 4096)

    def close(self) -> None:
        self.out.close()
        for each in (self.socket, self.stderr, self.lines):
            each.close()


def parsed(data: bytes) -> dict[str, list[str]]:
    """Parse the native form as journald does."""
    fields: dict[str, list[str]] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, sign, value = line.partition(b"=")
        if not sign:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        fields.setdefault(name.decode(), []).append(value.decode())
    return fields


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    made, root = Journal(tmp_path), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    status = os.fstat(made.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    logs.configure("debug", stream=made.out, journal=made.path)
    yield made
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    made.close()


def test_an_entry_has_the_fields_of_its_event(journal: Journal) -> None:
    log.warning("fence_failed", host="node-1", operation="4-7", reason='no level\nwas "off"', devices=["a", "b"])
    entry = journal.entry()
    assert entry == {
        "MESSAGE": [r'fence_failed host=node-1 operation=4-7 reason="no level\\nwas \"off\"" devices=["a", "b"]'],
        "PRIORITY": ["4"],
        "SYSLOG_IDENTIFIER": ["fenced"],
        "MESSAGE_ID": [MESSAGE_IDS["fence_failed"]],
        "FENCED_EVENT": ["fence_failed"],
        "FENCED_HOST": ["node-1"],
        "FENCED_OPERATION": ["4-7"],
        "FENCED_REASON": ['no level\nwas "off"'],
        "FENCED_DEVICES": ["a", "b"],
        "FENCED_LOGGER": ["fenced.engine"],
    }
    assert journal.printed() == ""


@pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")])
def test_the_priority_is_that_of_the_level(journal: Journal, level: str, priority: str) -> None:
    getattr(log, level)("x")
    assert journal.entry()["PRIORITY"] == [priority]


def test_values_and_names_of_any_kind_fit_the_protocol(journal: Journal) -> None:
    keys: dict[str, Any] = {"né-w.key": 1, "_x": True, "y" * 100: 0.5, "none": None, "map": {"a": [1]}, "odd": "\ud800"}
    log.info("host_held", **keys)
    entry = journal.entry()
    assert (entry["FENCED_N__W_KEY"], entry["FENCED__X"], entry["FENCED_MAP"]) == (["1"], ["true"], ['{"a": [1]}'])
    assert entry[f"FENCED_{'Y' * 57}"] == ["0.5"]
    assert entry["FENCED_ODD"] == ["?"] and "FENCED_NONE" not in entry
    assert "MESSAGE_ID" not in entry


def test_no_host_can_write_a_field_or_a_line_of_its_own(journal: Journal) -> None:
    log.info("host_suspected", host="node-1", reason="x\nPRIORITY=0\n\x1b[2J")
    entry = journal.entry()
    assert entry["PRIORITY"] == ["6"]
    assert "\n" not in entry["MESSAGE"][0] and "\x1b" not in entry["MESSAGE"][0]


def test_secrets_are_masked_in_every_field(journal: Journal) -> None:
    log.info("x", api_token="hunter2", inside={"password": "hunter2"})
    logging.getLogger("library").warning("%s", "from a library")
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        log.exception("effect_failed", secret="hunter2")
    first, second, third = (journal.entry() for _ in range(3))
    assert "hunter2" not in f"{first}{third}"
    assert (second["MESSAGE"], second["FENCED_LOGGER"]) == (["from a library"], ["library"])
    assert third["MESSAGE"][0].splitlines()[0] == "effect_failed secret=***"
    assert "RuntimeError: a bug" in third["MESSAGE"][0] and third["FENCED_EXCEPTION"][0] in third["MESSAGE"][0]


def test_what_matters_has_a_message_id_of_its_own(journal: Journal) -> None:
    log.info("host_fenced", host="node-1", proof="device_verified")
    log.info("host_fenced", host="node-1", proof="human")
    assert [journal.entry()["MESSAGE_ID"] for _ in range(2)] == [[MESSAGE_IDS["host_fenced"]], [CONFIRMED_OFF]]
    ids = {*MESSAGE_IDS.values(), CONFIRMED_OFF}
    assert len(ids) == len(MESSAGE_IDS) + 1 and all(len(each) == 32 and int(each, 16) for each in ids)
    listed = (ROOT / "docs/operations.md").read_text()
    assert [each for each in (*ids, *MESSAGE_IDS) if f"`{each}`" not in listed] == []


def test_an_entry_larger_than_a_datagram_comes_as_a_sealed_file(journal: Journal) -> None:
    many = ["y" * 4096] * 64
    log.info("x", one=many, two=many, three=many, four=many)
    entry = journal.entry()
    assert (entry["MESSAGE"][0].count("y"), [len(value) for value in entry["FENCED_FOUR"]]) == (1 << 20, [4096] * 64)
    assert (journal.files, journal.printed()) == (1, "")


def test_without_journald_lines_of_json_go_to_standard_error(journal: Journal) -> None:
    journal.socket.close()
    log.error("a", host="node-1")
    Path(journal.path).unlink()
    log.info("b")
    first, second = journal.printed().splitlines()
    assert (first[:3], second[:3]) == ("<3>", "<6>")
    assert json.loads(first[3:])["host"] == "node-1" and json.loads(second[3:])["event"] == "b"


def test_a_journald_that_reads_nothing_delays_no_one(journal: Journal) -> None:
    """First its queue is full, then standard error is, too. What was dropped meanwhile is counted later."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        journal.fill(other, journal.path)
    log.info("to_standard_error")
    assert json.loads(journal.printed()[3:])["event"] == "to_standard_error"
    with socket.socket(fileno=os.dup(journal.stderr.fileno())) as other:
        journal.fill(other)
        other.setblocking(True)  # as systemd hands it over
    for _ in range(3):
        log.info("dropped")
    while journal.entry()["MESSAGE"] == ["other"]:
        try:
            journal.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            break
    log.info("heard_again")
    entries = [journal.entry()["MESSAGE"] for _ in range(2)]
    assert entries == [["heard_again"], ["log_lines_lost lines=3"]]


def test_a_line_that_standard_error_cut_is_completed_before_the_next(journal: Journal) -> None:
    journal.socket.close()
    journal.stderr.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    many = ["y" * 4000] * 20
    log.info("cut", many=many)
    log.info("dropped")
    text = journal.printed()
    for number in range(200):
        log.info("after", number=number)
        text += journal.printed()
    events = [json.loads(line[3:])["event"] for line in text.splitlines()]
    assert events[0] == "cut" and set(events[1:]) == {"after"}
