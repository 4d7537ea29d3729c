"""Sends log entries to systemd's journal with their fields (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Only where systemd connected standard error to the journal. Each entry is one datagram. If journald is away or its queue
is full, the entry goes to standard error as a line of JSON instead; if that is full, too, it is counted and dropped.
So a log line never waits for journald and never raises. Masking is left to `logs`.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import socket
import stat
from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TextIO

from fenced.model.text import one_line

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "fenced"
PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog's priorities by the level of an entry."""
CONFIRMED_OFF: Final = "4c19c2ff31ce4681a9281d7f51695076"
MESSAGE_IDS: Final = {
    "host_fenced": "c30c9d018b7f4b91a2638b238aac8e6e",
    "fence_failed": "ffe863c35dfc4f398858d3fd32ccb952",
    "host_revoked": "512959d45d85454d98e4dd5a223ead36",
    "drill_failed": "71c6ee38e20a4259899d6f09c92a255b",
    "gate_stayed_closed": "95ea0b4e07c84ef1a57af2c272b967a9",
    "disarmed": "3a4b5fce556d4e5da76acdca27530699",
    "armed": "a6c5878d2fd14c478fafe29d410d8a7b",
    "store_doubted": "387dc78ea9d44b778c24d99719fe5daf",
    "bus_lost": "67749ea71b074d788d367c4e5beaa166",
    "reload_refused": "cd58edb855114b48bc1f98e090a91f66",
}
"""MESSAGE_ID by event (docs/operations.md lists them). Operators' scripts match them: never change one."""
NAME_LENGTH_MAX: Final = 64
TOO_LARGE: Final = {errno.EMSGSIZE, errno.ENOBUFS}
SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_OWN_FIELDS: Final = {"event", "level", "timestamp"}
"""Keys of an entry that have a field of their own in the journal."""
_NOT_IN_MESSAGE: Final = {*_OWN_FIELDS, "logger", "exception"}


def is_connected(out: TextIO) -> bool:
    """Return whether systemd connected this stream to the journal (JOURNAL_STREAM is `device:inode`, systemd.exec)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(out.fileno())
    except (OSError, ValueError):  # the stream has no descriptor
        return False
    return named == f"{status.st_dev}:{status.st_ino}" and stat.S_ISSOCK(status.st_mode)


class JournalHandler(logging.Handler):
    """`entry` formats a record as text in Latin-1, which carries the bytes of `datagram`; `line` as a line of JSON."""

    def __init__(self, *, entry: logging.Formatter, line: logging.Formatter, out: TextIO, path: str = SOCKET) -> None:
        super().__init__()
        self._entry, self._path = entry, path
        self.setFormatter(line)
        self._stderr = _Stderr(out.fileno())
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if not self._is_sent(self._entry.format(record).encode("latin-1")):
                self._stderr.write(self.format(record))
            elif self._stderr.lost:
                lost = datagram({"event": "log_lines_lost", "level": "warning", "lines": self._stderr.lost})
                if self._is_sent(lost):
                    self._stderr.lost = 0
        except Exception:  # border: whoever logs must go on; logging itself reports the mistake
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        self._stderr.close()
        super().close()

    def _is_sent(self, entry: bytes) -> bool:
        try:
            self._send(entry)
        except OSError:
            return False
        return True

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._path)
        except OSError as exc:
            if exc.errno not in TOO_LARGE:
                raise
            with _sealed(entry) as descriptor:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))]
                self._socket.sendmsg([], rights, 0, self._path)


class _Stderr:
    """The stream socket behind standard error, written without waiting. `lost`: lines that it did not accept."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._rest = b""
        self.lost = 0

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._rest = self._rest[self._sent(self._rest) :]  # the end of a line that was cut
            if not self._rest:
                data = f"{line}\n".encode("utf-8", "replace")
                self._rest = data[self._sent(data) :]
                return
        self.lost += 1

    def _sent(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT) if data else 0

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def _sealed(data: bytes) -> Iterator[int]:
    """Yield a sealed memory file with the data: how the protocol carries an entry larger than a datagram."""
    descriptor = os.memfd_create("fenced-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


def datagram(event: Mapping[str, Any]) -> bytes:
    """Return a masked entry in the journal's native form."""
    level = str(event.get("level", "info"))
    parts = [
        _field("MESSAGE", message(event)),
        _field("PRIORITY", str(PRIORITIES.get(level, PRIORITIES["info"]))),
        _field("SYSLOG_IDENTIFIER", IDENTIFIER),
        _field("FENCED_EVENT", one_line(str(event.get("event", "")))),
    ]
    known = message_id(event)
    if known is not None:
        parts.append(_field("MESSAGE_ID", known))
    for key, value in event.items():
        if key not in _OWN_FIELDS:
            parts += [_field(_name(key), text) for text in _values(value)]
    return b"".join(parts)


def message_id(event: Mapping[str, Any]) -> str | None:
    """Return the MESSAGE_ID of an entry, or None if it has none."""
    name = event.get("event")
    if name == "host_fenced" and event.get("proof") == "human":
        return CONFIRMED_OFF
    return MESSAGE_IDS.get(name) if isinstance(name, str) else None


def message(event: Mapping[str, Any]) -> str:
    """Return the line that `journalctl` shows: the event and its values; a traceback follows on lines of its own."""
    words = [one_line(str(event.get("event", "")))]
    words += [
        f"{one_line(key)}={_shown(value)}"
        for key, value in event.items()
        if key not in _NOT_IN_MESSAGE and value is not None
    ]
    line = " ".join(words)
    return f"{line}\n{event['exception']}" if event.get("exception") else line


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return one_line(_json(value))
    text = one_line(value)
    return text if text and " " not in text and '"' not in text else _json(text)


def _values(value: Any) -> list[str]:
    """Return the values of a field: one for each item of a list, so that `journalctl FENCED_DEVICES=pdu-a` matches."""
    if value is None:
        return []
    items = value if isinstance(value, list | tuple) else [value]
    return [item if isinstance(item, str) else _json(item) for item in items]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


@lru_cache(maxsize=256)
def _name(key: str) -> str:
    """Return the journal's name of a key: A-Z, 0-9 and _, at most 64 characters."""
    return f"FENCED_{re.sub('[^A-Z0-9_]', '_', key.upper())}"[:NAME_LENGTH_MAX]


def _field(name: str, value: str) -> bytes:
    """Encode one field. A value with line breaks follows its length (64 bits, little-endian)."""
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode("ascii"), data)
    return b"%s\n%s%s\n" % (name.encode("ascii"), len(data).to_bytes(8, "little"), data)
