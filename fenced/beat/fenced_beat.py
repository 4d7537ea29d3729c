#!/usr/bin/python3 -IS
"""Heartbeats of this machine for the fencing daemon, over MQTT or HTTPS, until SIGTERM.

This file is the whole program: copy it to a host as /usr/bin/fenced-beat. It needs Python 3.6 or newer and nothing but
the standard library, so it uses neither newer syntax nor another module of fenced. `fenced beat` runs it, too.

One thread, one connection, one poll for everything that takes time (`Waiting`). A heartbeat is sent now or not at all,
because an old one is no sign of life. `stopping` is sent only when the machine shuts down, because it makes the
following silence expected; a restarted service just stays silent for a moment. With `obey` it shuts the machine down
when the daemon orders it (`Orders`): whoever changes that must know that a wrong shutdown ends running work.
"""

import argparse
import errno
import fcntl
import json
import math
import os
import re
import select
import signal
import socket
import ssl
import stat
import struct
import sys
import termios
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

VERSION = "0.1.0"
EXIT_CONFIGURATION = 78
KEEPALIVE_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 5.0
SEND_TIMEOUT_MAX_SECONDS = 5.0
RECONNECT_MIN_SECONDS = 0.2
RECONNECT_MAX_SECONDS = 5.0
STABLE_AFTER_SECONDS = 10.0
CLOSE_SECONDS = 1.0
EXPIRY_INTERVALS = 3.0
EXPIRY_MIN_SECONDS = 15
RETRY_AFTER_MAX_SECONDS = 60
SHUTDOWN_CHECK_SECONDS = 2.0
SHUTDOWN_COMMAND_SECONDS = 20.0
KILL_SECONDS = 1.0
SHUTDOWN_MAX_SECONDS = 600.0
WITHIN_MAX_SECONDS = 600.0
BUSY_SECONDS = 60
SENT_MAX = 1024
ORDERS_MAX = 4
WORKLOADS_INTERVALS = 3.0
WORKLOADS_MAX = 1000000
WORKLOADS_BYTES_MAX = 64
AHEAD_MAX_SECONDS = 1.0
PACKET_BYTES_MAX = 64 * 1024
FILE_BYTES_MAX = 64 * 1024
TLS_BYTES_MAX = 16 * 1024 * 1024
TEXT_CHARS_MAX = 4096
REASON_CHARS_MAX = 300

_CLOCK_BOOTTIME = 7  # Python 3.6 has no name for it: seconds since the boot; runs on during suspend, never jumps
BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 8470, "https": 8470}
DURATIONS = '"250ms", "5s", "2m", "1h30m"'
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
OWN_ACCOUNT = "account at the broker; give each client its own, because two that share one disconnect each other"

SHUTDOWN: "tuple[str, ...]" = ("systemctl", "poweroff")

KEYS: "tuple[tuple[str, str | tuple[str, ...], str, str, str], ...]" = (
    ("bus", "mqtt://127.0.0.1:1883", "address", "", "broker: mqtt:// or mqtts:// for TLS"),
    ("api", "", "address", "", "instead of `bus`: the daemon's API, as https://HOST:8470; sends no last will"),
    ("site", "site-1", "name", f"`{NAME}`, at most 253", "the daemon's site; over the API it is not used"),
    ("host", "", "name", f"`{NAME}`, at most 253", "name of this host in the inventory; default: its host name"),
    ("interval", "5s", "duration", "50ms to 1h", "between two heartbeats"),
    ("workloads_file", "", "file", "", "file with the number of workloads, written anew within three intervals"),
    ("obey", (), "list", "`shutdown`", "orders of the daemon that are obeyed; needs workloads_file, and mqtts://"),
    ("shutdown_command", SHUTDOWN, "list", "", "program and arguments that shut this machine down, without a shell"),
    ("ca_file", "", "file", "", "the certificate authority to trust; empty: the system's"),
    ("cert_file", "", "file", "", "the client certificate"),
    ("key_file", "", "file", "", "its private key"),
    ("username", "", "text", "", OWN_ACCOUNT),
    ("password_file", "", "file", "", "file with the password on one line"),
    ("password_env", "", "text", "", "or: the environment variable that holds it"),
    ("password_credential", "", "text", "", "or: the systemd credential that holds it"),
    ("token_file", "", "file", "", "file with the token of `api` on one line: `reporter=HOST`, or the role operator"),
    ("token_env", "", "text", "", "or: the environment variable that holds it"),
    ("token_credential", "", "text", "", "or: the systemd credential that holds it"),
)
"""Every key of the file: name, default, unit, allowed values, meaning. docs/configuration.md is written from it."""

OF_THE_BUS = ("username", "password_file", "password_env", "password_credential")
ORDERS = ("shutdown",)
"""What the daemon may order, as far as `obey` lists it."""
OF_THE_API = ("token_file", "token_env", "token_credential")


class Unreachable(Exception):
    """No connection, or a lost one; the text says why."""


class VersionRefused(Unreachable):
    """The broker does not speak the MQTT version of this attempt."""


class Silent(VersionRefused):
    """The broker does not answer the login: it is frozen, or it can't read this version."""


class Refused(Exception):
    """The other side does not accept a heartbeat; the connection goes on. `after`: seconds until it may be retried."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Stopped(Exception):
    """SIGTERM or SIGINT came while there was no connection yet."""


# -- the file: a flat subset of TOML ----------------------------------------------------------------------------------

_HEADER = re.compile(r"\[[ \t]*([A-Za-z0-9_-]+)[ \t]*\]")
_KEY = re.compile(r"([A-Za-z0-9_-]+)[ \t]*=[ \t]*")
_BASIC = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LITERAL = re.compile(r"'([^']*)'")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9](?:_?[0-9]){0,17})(?![0-9A-Za-z_.:+-])")
_FLAG = re.compile(r"(?:true|false)(?![0-9A-Za-z_-])")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def parse_toml(text: str) -> "tuple[dict[str, dict[str, object]], list[tuple[str, str]]]":
    """Return the tables, and every mistake as (place, reason). What it accepts, tomllib reads as the same.

    Accepts the table [beat] with text, whole numbers, true and false, and lists of text on one line. No mistake quotes
    the file, because a person may have written a secret into it.
    """
    tables: dict[str, dict[str, object]] = {}
    mistakes: list[tuple[str, str]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        try:
            _parse_line(line, tables)
        except ValueError as exc:
            mistakes.append((f"line {number}", str(exc)))
    return tables, mistakes


def _parse_line(line: str, tables: "dict[str, dict[str, object]]") -> None:
    if _CONTROL.search(line):
        raise ValueError("contains a control character; only tabs are allowed")
    at = _space(line, 0)
    header, key = _HEADER.match(line, at), _KEY.match(line, at)
    if line[at : at + 1] in ("", "#"):
        return
    if header is not None:
        if header.group(1) != "beat":
            raise ValueError("is another table; this file has only [beat]")
        if "beat" in tables:
            raise ValueError("[beat] is given twice")
        at = header.end()
        tables["beat"] = {}
    elif key is None:
        raise ValueError('is neither [beat] nor a setting such as host = "node-1"')
    elif "beat" not in tables:
        raise ValueError("is above [beat]; write it below")
    elif key.group(1) in tables["beat"]:
        raise ValueError(f"{key.group(1)} is given twice")
    else:
        value, at = _value(line, key.end())
        tables["beat"][key.group(1)] = value
    if line[_space(line, at) :][:1] not in ("", "#"):
        raise ValueError("has something after its end; only a # comment can follow")


def _value(line: str, at: int) -> "tuple[object, int]":
    """Return a value and where it ends. Raises ValueError."""
    if line.startswith(('"""', "'''"), at):
        raise ValueError("text over several lines is not supported; use one pair of quotes")
    if line[at : at + 1] == "[":
        return _list(line, at + 1)
    for pattern, read in _VALUES:
        found = pattern.match(line, at)
        if found is not None:
            return read(found.group()), found.end()
    if line[at : at + 1] in ('"', "'"):
        raise ValueError("has an opening quote without a closing one")
    raise ValueError("has a value of another kind; text is in quotes, and numbers are whole")


def _basic(quoted: str) -> str:
    return _ESCAPE.sub(_unescaped, quoted[1:-1])


def _unescaped(found: "re.Match[str]") -> str:
    if found.group(3) is not None:
        if found.group(3) not in _ESCAPES:
            raise ValueError("has an unknown escape; write a backslash as two, or use single quotes")
        return _ESCAPES[found.group(3)]
    code = int(found.group(1) or found.group(2), 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("has an escape that is no character")
    return chr(code)


_VALUES: "tuple[tuple[re.Pattern[str], Callable[[str], object]], ...]" = (
    (_BASIC, _basic),
    (_LITERAL, lambda quoted: quoted[1:-1]),
    (_FLAG, lambda word: word == "true"),
    (_INTEGER, lambda digits: int(digits.replace("_", ""))),
)


def _list(line: str, at: int) -> "tuple[list[object], int]":
    items: list[object] = []
    while True:
        at = _space(line, at)
        if line[at : at + 1] == "]":
            return items, at + 1
        if line[at : at + 1] not in ('"', "'"):
            raise ValueError("has a list that holds more than text, or that does not end on its line")
        item, at = _value(line, at)
        items.append(item)
        at = _space(line, at)
        if line[at : at + 1] == ",":
            at += 1
        elif line[at : at + 1] != "]":
            raise ValueError("has a list without a comma between two items, or without its end")


def _space(line: str, at: int) -> int:
    while line[at : at + 1] in (" ", "\t"):
        at += 1
    return at


# -- the settings -----------------------------------------------------------------------------------------------------


class Settings:
    """What to send, where, and as whom. `boot` and what follows are set by options only."""

    def __init__(self, scheme: str, address: str, port: int, texts: "dict[str, str]") -> None:
        self.scheme, self.address, self.port = scheme, address, port
        self.site, self.host = texts["site"], texts["host"]
        self.interval = parse_duration(texts["interval"])
        self.username = texts["username"]
        self.ca_file, self.cert_file, self.key_file = texts["ca_file"], texts["cert_file"], texts["key_file"]
        self.secret = Secret(texts, "password" if self.is_mqtt else "token")
        self.workloads_file = texts["workloads_file"]
        self.obey: tuple[str, ...] = ()
        self.shutdown_command = SHUTDOWN
        self.boot = ""
        self.workloads: int | None = None
        self.roles: list[str] = []
        self.qos = 1

    @property
    def is_mqtt(self) -> bool:
        return self.scheme in ("mqtt", "mqtts")

    @property
    def is_tls(self) -> bool:
        return self.scheme in ("mqtts", "https")

    @property
    def send_timeout(self) -> float:
        return min(max(self.interval, 1.0), SEND_TIMEOUT_MAX_SECONDS)


class Secret:
    """A password or token, read anew for each use, so that a renewed one applies. It is never printed."""

    def __init__(self, texts: "dict[str, str]", name: str) -> None:
        self.named = [key for key in (name + "_file", name + "_env", name + "_credential") if texts[key]]
        self._place = texts[self.named[0]] if self.named else ""

    def read(self) -> "str | None":
        """Return None if no secret is configured. Raises ValueError with the reason."""
        if not self.named:
            return None
        if self.named[0].endswith("_env"):
            text = os.environ.get(self._place)
            if text is None:
                raise ValueError("this environment variable is not set")
        else:
            text = read_file(self.path(), FILE_BYTES_MAX)
        text = text[:-1] if text.endswith("\n") else text
        text = text[:-1] if text.endswith("\r") else text
        if not text:
            raise ValueError("is empty: it must hold the secret")
        if set(text) & set("\r\n\0"):
            raise ValueError("must hold the secret on one line")
        if self.named[0].startswith("token") and re.fullmatch("[!-~]+", text) is None:
            raise ValueError("a token has no space and only ASCII characters")
        return text

    def path(self) -> str:
        """Return the file of the secret, or "". Raises ValueError."""
        if not self.named or self.named[0].endswith("_env"):
            return ""
        if self.named[0].endswith("_file"):
            return self._place
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise ValueError("CREDENTIALS_DIRECTORY is not set: add LoadCredential= to the systemd unit")
        if "/" in self._place or self._place in (".", ".."):
            raise ValueError("a credential's name has no '/'")
        return directory + "/" + self._place


class Checked:
    """Turns raw values into settings, and collects every mistake and warning as (key, reason)."""

    def __init__(self, values: "dict[str, object]", base: str) -> None:
        """`base`: the folder where relative paths start."""
        self.mistakes: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, str]] = []
        self._texts = {key: default for key, default, _, _, _ in KEYS if isinstance(default, str)}
        self._lists = {key: default for key, default, _, _, _ in KEYS if isinstance(default, tuple)}
        units = {key: unit for key, _, unit, _, _ in KEYS}
        for key, value in values.items():
            if key not in units:
                self.mistakes.append((key, _unknown(key)))
                continue
            try:
                if units[key] == "list":
                    self._lists[key] = _checked_list(value)
                    continue
                text = _checked(units[key], value)
                if units[key] == "duration":
                    parse_duration(text)
                self._texts[key] = text
            except ValueError as exc:
                self.mistakes.append((key, str(exc)))
        for key, unit in units.items():
            if unit == "file" and self._texts[key]:
                self._texts[key] = os.path.join(base, self._texts[key])
        self.settings = self._settings(values)

    def _settings(self, values: "dict[str, object]") -> "Settings | None":
        texts = self._texts
        if values.get("bus") and values.get("api"):
            self.mistakes.append(("api", "bus is given, too: heartbeats go one way, so remove one of them"))
        if not texts["host"]:
            texts["host"] = socket.gethostname()
            if re.fullmatch(NAME, texts["host"]) is None:
                self.mistakes.append(("host", "the machine's host name is not a valid name: set one here"))
        key = "api" if texts["api"] else "bus"
        schemes = ("https", "http") if key == "api" else ("mqtts", "mqtt")
        try:
            scheme, address, port = parse_url(texts[key], schemes)
        except ValueError as exc:
            self.mistakes.append((key, str(exc)))
            scheme, address, port = schemes[0], "", 0  # go on and find the other mistakes
        settings = Settings(scheme, address, port, texts)
        settings.obey, settings.shutdown_command = self._lists["obey"], self._lists["shutdown_command"]
        for other in OF_THE_API if settings.is_mqtt else OF_THE_BUS:
            if texts[other]:
                self.mistakes.append((other, "is only for %s" % ("api" if settings.is_mqtt else "bus")))
        self._check_secret(settings, key)
        self._check_tls(settings, key)
        self._check_orders(settings)
        return None if self.mistakes else settings

    def _check_orders(self, settings: Settings) -> None:
        """An order shuts the machine down: it must come from our broker, and idle must be said here and now."""
        for unknown in [order for order in settings.obey if order not in ORDERS]:
            self.mistakes.append(("obey", "{} is unknown; it can hold {}".format(unknown[:80], ", ".join(ORDERS))))
        command = settings.shutdown_command
        if not command or not command[0]:
            self.mistakes.append(("shutdown_command", "must name a program, and then its arguments"))
        if not settings.obey:
            return
        if not settings.is_mqtt:
            self.mistakes.append(("obey", "is only for bus: orders come over the broker"))
        elif not settings.is_tls and not is_loopback(settings.address):
            why = "anybody on the network could shut this machine down: use mqtts:// in bus"
            self.mistakes.append(("obey", why))
        if not settings.workloads_file:
            self.mistakes.append(("workloads_file", "is missing: obey needs it to know that nothing runs here"))
        if command and command[0] and find_program(command[0]) is None:
            self.mistakes.append(("shutdown_command", "there is no such program that can be run"))

    def _check_secret(self, settings: Settings, key: str) -> None:
        named = settings.secret.named
        if len(named) > 1:
            self.mistakes.append((named[1], "only one of {} can be given".format(" and ".join(named))))
        if not named:
            return
        try:
            settings.secret.read()
            path = settings.secret.path()
            if path and os.stat(path).st_mode & stat.S_IROTH:
                self.warnings.append((named[0], "every user of this machine can read it: run chmod o-r"))
        except (ValueError, OSError) as exc:
            self.mistakes.append((named[0], str(exc)))
        if settings.is_mqtt and not settings.username:
            self.mistakes.append(("username", "is missing: a password is given"))
        if not settings.is_tls and not is_loopback(settings.address):
            what, use = ("password", "mqtts") if settings.is_mqtt else ("token", "https")
            self.warnings.append((key, f"the {what} goes over the network in clear: use {use}://"))

    def _check_tls(self, settings: Settings, key: str) -> None:
        files = {"ca_file": settings.ca_file, "cert_file": settings.cert_file, "key_file": settings.key_file}
        if any(files.values()) and not settings.is_tls:
            use = "mqtts" if settings.is_mqtt else "https"
            self.warnings.append((key, f"the TLS files are not used: use {use}://"))
        for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if files[one] and not files[other]:
                self.mistakes.append((other, f"is missing: {one} is given"))
        usable = set()
        for name, path in files.items():
            try:
                usable |= {name} if path and read_file(path, TLS_BYTES_MAX, is_text=False) is not None else set()
            except ValueError as exc:
                self.mistakes.append((name, str(exc)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if "ca_file" in usable:
                context.load_verify_locations(settings.ca_file)
        except (OSError, ValueError) as exc:
            self.mistakes.append(("ca_file", f"not a certificate authority: {exc}"))
        try:
            if usable >= {"cert_file", "key_file"}:
                context.load_cert_chain(settings.cert_file, settings.key_file, password=b"")
        except (OSError, ValueError) as exc:
            pair = f"TLS can't use it with {settings.key_file}: {exc}; give a certificate and its own key"
            self.mistakes.append(("cert_file", pair))


def _unknown(key: str) -> str:
    if key in ("password", "token"):
        return f"a secret is never written inline: use {key}_file, {key}_env or {key}_credential"
    import difflib

    near = difflib.get_close_matches(key, [known[0] for known in KEYS], 1)
    return "unknown key" + (f"; did you mean {near[0]}?" if near else "")


def _checked(unit: str, value: object) -> str:
    """Return a value of the file as text. Raises ValueError."""
    if not isinstance(value, str):
        such = "a duration is text with a unit, such as " + DURATIONS
        raise ValueError(such if unit == "duration" else "must be text in quotes")  # noqa: TRY004 - of the file
    if len(value) > TEXT_CHARS_MAX:
        raise ValueError(f"longer than {TEXT_CHARS_MAX} characters")
    if not value.isprintable():
        raise ValueError("contains a line break or another unprintable character")
    if unit == "address" and " " in value:
        raise ValueError("must not contain a space")
    if unit == "name" and value and (len(value) > 253 or re.fullmatch(NAME, value) is None):
        raise ValueError("a name is at most 253 letters, digits, '.', '_' and '-', and begins with a letter or digit")
    return value


def _checked_list(value: object) -> "tuple[str, ...]":
    """Return a list of the file. Raises ValueError."""
    if not isinstance(value, (list, tuple)):
        raise ValueError('must be a list, such as ["shutdown"]')  # noqa: TRY004 - of the file
    return tuple(_checked("text", item) for item in value)


def find_program(name: str) -> "str | None":
    """Return the path of a program, or None if there is none that this user can run."""
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    for path in [os.path.join(folder, name) for folder in folders]:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def parse_duration(text: str) -> float:
    """Return seconds, 50 ms to 1 h. Raises ValueError."""
    units = (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1))
    pattern = "".join("(?:([0-9]{1,9})%s)?" % (unit + ("(?!s)" if unit == "m" else "")) for unit, _ in units)
    found = re.fullmatch(pattern, text)
    if found is None or not text:
        raise ValueError("not a duration; write it as " + DURATIONS)
    seconds = sum(int(part or 0) * size for part, (_, size) in zip(found.groups(), units)) / 1000
    if not 0.05 <= seconds <= 3600:
        raise ValueError("too short: at least 50ms" if seconds < 1 else "too long: at most 1h")
    return seconds


def parse_url(text: str, schemes: "tuple[str, str]") -> "tuple[str, str, int]":
    """Return scheme, host and port. Raises ValueError with the reason."""
    scheme, _, place = text.partition("://")
    if scheme == "embedded":
        raise ValueError("the built-in broker runs in the daemon: use mqtt:// with the daemon's address")
    if scheme not in schemes or not place:
        raise ValueError("must begin with {}:// or {}://".format(*schemes))
    if "@" in place:
        raise ValueError("a secret is never written inline: use the keys for it")
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s/?#:\[\]]+))(?::([0-9]{1,5}))?/?", place)
    port = int(found.group(3) or PORTS[scheme]) if found is not None else 0
    if found is None or not 1 <= port <= 65535:
        raise ValueError(f"must be {scheme}://HOST:PORT")
    return scheme, found.group(1) or found.group(2), port


def is_loopback(address: str) -> bool:
    return address in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", address) is not None


def read_file(path: str, bytes_max: int, is_text: bool = True) -> str:
    """Return the text of a regular file ("" if it is not wanted). Raises ValueError with the reason, without the path.

    Only regular files are opened: a pipe would block, and opening a device may make it act.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("not a file")
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError as exc:
        raise ValueError("no such file") from exc
    except OSError as exc:
        raise ValueError("can't be read: %s" % (exc.strerror or type(exc).__name__)) from exc
    if len(data) > bytes_max:
        raise ValueError(f"larger than {bytes_max} bytes")
    if not is_text:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 at byte {exc.start}") from exc


# -- systemd and time -------------------------------------------------------------------------------------------------


class Notify:
    """Reports to systemd (sd_notify(3)), one datagram per report. Without systemd it does nothing; it never blocks."""

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        is_mine = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        is_number = re.fullmatch("[1-9][0-9]{0,17}", microseconds) is not None
        self.watchdog_seconds = int(microseconds) / 2000000 if is_number and is_mine else math.inf
        self._fed = 0.0

    def send(self, line: str, status: str = "") -> None:
        lines = [line] if line else []
        lines += ["STATUS=" + " ".join(status.split())[:200]] if status else []
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except (OSError, ValueError):
            pass

    def feed(self) -> None:
        """Feed the watchdog, if it is time. Only `Waiting` calls it: a program that hangs elsewhere is restarted."""
        if time.monotonic() - self._fed >= self.watchdog_seconds:
            self._fed = time.monotonic()
            self.send("WATCHDOG=1")


class Waiting:
    """The only place where the program waits. It ends a wait early when SIGTERM or SIGINT comes."""

    def __init__(self, notify: Notify) -> None:
        self.is_stopping = False
        self._notify = notify
        self._signals, written = os.pipe()
        for end in (self._signals, written):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(written)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: None)

    def until(self, end: float, descriptor: "int | None" = None, events: int = select.POLLIN) -> bool:
        """Return whether the descriptor is ready. False: the time is over, or a signal came just now."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if descriptor is not None:
            poll.register(descriptor, events)
        while True:
            self._notify.feed()
            left = max(end - time.monotonic(), 0.0)
            pause = min(left, self._notify.watchdog_seconds, 3600.0)
            ready = [number for number, _ in poll.poll(math.ceil(pause * 1000))]
            if self._signals in ready:
                self.is_stopping = bool(os.read(self._signals, 64))
                return False
            if ready:
                return True
            if left <= pause:
                return False


def log(level: str, text: str) -> None:
    """Write one line to standard error. Text of the other side can't forge a second one."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    try:
        sys.stderr.write(f"{level} {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def is_machine_shutting_down() -> bool:
    """Ask systemd, which reports `stopping` as soon as a shutdown begins, before any service gets SIGTERM.

    A shutdown that is only scheduled (/run/systemd/shutdown/scheduled) does not count. Without an answer of systemd the
    runlevel decides: 0 halts and 6 reboots. Return False if neither is known.
    """
    state = _answer("systemctl", "is-system-running")
    if state and state != "offline":
        return state == "stopping"
    return _answer("runlevel").split()[-1:] in (["0"], ["6"])


def _answer(*command: str) -> str:
    """Return what a program prints, or "" if it does not end in time; it is killed then."""
    import subprocess  # here, because it is needed once, at the end

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SHUTDOWN_CHECK_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:1024].decode("utf-8", "replace").strip()


# -- one connection ---------------------------------------------------------------------------------------------------


class Stream:
    """One TCP connection, with TLS or without. Every call has a deadline in monotonic time."""

    def __init__(self, settings: Settings, waiting: Waiting, end: float) -> None:
        """Connect. Raises Unreachable and Stopped."""
        self._waiting = waiting
        self._settings = settings
        self.socket = self._connected(end)
        try:
            if settings.is_tls:
                self._start_tls(end)
        except BaseException:
            self.socket.close()
            raise

    def read(self, end: float) -> "bytes | None":
        """Return what came, or None if nothing did until `end` or a signal. Raises Unreachable, also if it closed."""
        data = self._try(end, select.POLLIN, self.socket.recv, 65536)
        if data == b"":
            raise Unreachable("closed without a reason")
        return data

    def write(self, data: bytes, end: float) -> None:
        """Raises Unreachable."""
        while data:
            sent = self._try(end, select.POLLOUT, self.socket.send, data)
            if sent is None and time.monotonic() >= end:
                raise Unreachable("the other side takes no more data")
            data = data[sent or 0 :]

    def is_over(self) -> bool:
        """Return whether the other side has closed, or has sent what was not requested (apart from TLS itself)."""
        try:
            return self.read(0.0) is not None
        except Unreachable:
            return True

    def drop(self, goodbye: bytes = b"") -> None:
        """Close after a failure, and discard a heartbeat that the other side's kernel has not acknowledged.

        Otherwise this kernel would try for minutes to deliver it, and then it is a sign of life from the past.
        """
        try:
            unsent = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, struct.pack("i", 0)))[0]
            if unsent:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif goodbye:
                self.socket.send(goodbye)
        except (OSError, ValueError):
            pass
        self.socket.close()

    def close(self, goodbye: bytes = b"") -> None:
        """Say goodbye, and wait until the other side closes: closing with unread data would discard the goodbye."""
        end = time.monotonic() + CLOSE_SECONDS
        try:
            self.write(goodbye, end)
            self.socket.shutdown(socket.SHUT_WR)
            while time.monotonic() < end:
                self.read(end)
        except (OSError, Unreachable):
            pass
        self.socket.close()

    def _connected(self, end: float) -> socket.socket:
        """Try every address of the host, each for its share of the time."""
        addresses = _addresses(self._settings, self._waiting, end)
        why = "no address"
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            now = time.monotonic()
            tried = socket.socket(family, kind, protocol)
            try:
                tried.setblocking(False)
                code = tried.connect_ex(address)
                if code == errno.EINPROGRESS:
                    share = now + (end - now) / (len(addresses) - number)
                    self._wait(tried, share)
                    code = tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    tried.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return tried
                why = os.strerror(code)
            except (OSError, Unreachable) as exc:
                why = str(exc)
            except BaseException:
                tried.close()
                raise
            tried.close()
        raise Unreachable(why)

    def _wait(self, tried: socket.socket, end: float) -> None:
        if not self._waiting.until(end, tried.fileno(), select.POLLOUT):
            raise _given_up(end, f"no answer within {CONNECT_TIMEOUT_SECONDS:g} s")

    def _start_tls(self, end: float) -> None:
        context = tls_context(self._settings)
        try:
            wrapped = context.wrap_socket(
                self.socket, server_hostname=self._settings.address, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as exc:
            raise Unreachable(explained(exc)) from exc
        self.socket = wrapped

        def shake_hands() -> bool:
            wrapped.do_handshake()
            return True

        try:
            is_done = self._try(end, select.POLLIN, shake_hands)
        except Unreachable as exc:
            raise Unreachable(f"TLS handshake: {exc}") from exc
        if not is_done:
            raise _given_up(end, f"no TLS handshake within {CONNECT_TIMEOUT_SECONDS:g} s; is this a port for TLS?")

    def _try(self, end: float, events: int, call: "Callable[..., T]", *arguments: "bytes | int") -> "T | None":
        """Repeat a non-blocking call until it is done. None: the time is over, or a signal came. Raises Unreachable."""
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except BlockingIOError:
                wanted = events
            except (OSError, ValueError) as exc:  # in Python 3.6 a certificate of another name is a ValueError
                raise Unreachable(explained(exc)) from exc
            if not self._waiting.until(end, self.socket.fileno(), wanted):
                return None


def _given_up(end: float, why: str) -> Exception:
    """Return what ended a wait before there is a connection: the time, or a signal."""
    return Unreachable(why) if time.monotonic() >= end else Stopped("interrupted by a signal")


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Read the files anew, so that a renewed certificate applies to the next connection. Raises Unreachable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it verifies the certificate and its name
    if hasattr(ssl, "TLSVersion"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6
        context.options |= ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    try:
        if settings.ca_file:
            context.load_verify_locations(settings.ca_file)
        else:
            context.load_default_certs()
        if settings.cert_file:
            # The empty password keeps OpenSSL from prompting at a terminal for an encrypted key.
            context.load_cert_chain(settings.cert_file, settings.key_file or None, password=b"")
    except (OSError, ValueError) as exc:
        files = ", ".join(name for name in (settings.ca_file, settings.cert_file, settings.key_file) if name)
        raise Unreachable(f"can't use the TLS files ({files}): {exc}") from exc
    return context


_resolving: "list[threading.Thread]" = []


def _addresses(settings: Settings, waiting: Waiting, end: float) -> "list[tuple[Any, ...]]":
    """Resolve the host in a thread, because the resolver has no timeout. One that hangs holds one thread only."""
    place = settings.address, settings.port, 0, socket.SOCK_STREAM
    try:
        return socket.getaddrinfo(*place, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass  # it is a name
    if _resolving and _resolving[0].is_alive():
        raise Unreachable(f"the resolver does not answer for {settings.address}")
    found: list[Any] = []
    done, written = os.pipe()

    def resolve() -> None:
        try:
            found.append(socket.getaddrinfo(*place))
        except (OSError, UnicodeError) as exc:
            found.append(exc)
        os.close(written)

    _resolving[:] = [threading.Thread(target=resolve, daemon=True)]
    _resolving[0].start()
    try:
        if not waiting.until(end, done):
            raise _given_up(end, f"the resolver does not answer for {settings.address}")
    finally:
        os.close(done)
    if isinstance(found[0], Exception):
        raise Unreachable(f"can't resolve {settings.address}: {explained(found[0])}")
    return list(found[0])


def explained(exc: BaseException) -> str:
    """Return why a connection failed, short."""
    text = getattr(exc, "verify_message", "") or getattr(exc, "strerror", "") or str(exc) or type(exc).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(exc) or isinstance(exc, ssl.CertificateError):
        text = f"the certificate is not accepted: {text}; check ca_file, and the name in the URL"
    elif isinstance(exc, ssl.SSLError):
        text = getattr(exc, "reason", "") or text
    return text[:REASON_CHARS_MAX]


# -- MQTT -------------------------------------------------------------------------------------------------------------

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0x10, 0x20, 0x30, 0x40, 0xC0, 0xD0, 0xE0
_SUBSCRIBE, _SUBACK = 0x82, 0x90
_AS_PUBLISHED_AND_NO_OLD_ONES = 0x28
"""Options of a subscription with QoS 0 (MQTT 5, 3.8.3.1): the retained flag stays, retained messages are not sent."""
_REASONS = {
    1: "it does not speak this version of MQTT",
    2: "it does not accept the client id",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x80: "unspecified error",
    0x84: "it does not speak this version of MQTT",
    0x85: "it does not accept the client id",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x97: "quota exceeded",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9F: "connection rate exceeded",
}
_TAKEN_OVER = 0x8E
_RIVALS = "give each client its own account, and set use_username_as_clientid for each listener of the broker"
_LOSSES_MAX = 3
_LOSSES_SECONDS = 600.0
_SIZES = {1: (1, 23, 25, 36, 37, 40, 41, 42), 2: (19, 33, 34, 35), 4: (2, 17, 24, 39)}
"""Bytes of the value of an MQTT 5 property -> its identifiers. All others hold text with its length."""


class Mqtt:
    """Heartbeats over one MQTT connection; the last will sets presence to `offline`.

    Each attempt tries MQTT 5 first, and 3.1.1 if the broker does not answer or refuses the version. The older one is
    never remembered, because only MQTT 5 reports a refused heartbeat. The client id is the same for each connection, so
    that a second beat of the host, or one after a power cut, replaces the first.
    """

    def __init__(self, settings: Settings, waiting: Waiting) -> None:
        self._settings = settings
        self._waiting = waiting
        topic = f"fenced/v1/{settings.site}/%s/{settings.host}"
        self._health, self._presence = topic % "health", topic % "presence"
        self._evidence, self._command = topic % "evidence" + "/beat", topic % "command"
        self.orders: list[bytes] = []
        """What came on the command topic and was not taken yet; at most ORDERS_MAX."""
        self._client_id = f"fenced-beat-{settings.site}-{settings.host}"
        self._expiry = max(math.ceil(EXPIRY_INTERVALS * settings.interval), EXPIRY_MIN_SECONDS)
        self._stream: Stream | None = None
        self._level, self._qos_max, self._keepalive, self._number = 5, 1, KEEPALIVE_SECONDS, 0
        self._received = b""
        self._refused = ""
        self._is_silent = False
        self._heard = self._sent = self._pinged = 0.0
        self._lost_at: list[float] = []

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    def open(self) -> None:
        """Connect, log in and set presence to `online`. Raises Unreachable and Stopped."""
        try:
            self._log_in_somehow()
            self._subscribe()
            self._publish(self._presence, b"online", is_retained=True, qos=1)
        except Refused as exc:
            if str(exc) != self._refused:
                self._refused = str(exc)
                log("WARNING", f"beat_not_taken status=online reason={exc}")
        except BaseException:
            self.drop()
            raise

    def send(self, payload: bytes) -> None:
        """Raises Unreachable, or Refused."""
        self._publish(self._health, payload, is_retained=False, qos=self._settings.qos)

    def say_offline(self) -> None:
        self._publish(self._presence, b"offline", is_retained=True, qos=1)

    def say_evidence(self, payload: bytes) -> None:
        """Raises Unreachable, or Refused."""
        self._publish(self._evidence, payload, is_retained=False, qos=1)

    def rest(self, until: float) -> None:
        """Return at this time, after a signal, or when there are orders; keep the connection alive meanwhile.

        Raises Unreachable.
        """
        while time.monotonic() < until and not self._waiting.is_stopping and not self.orders:
            ping_at = min(self._heard, self._sent) + self._keepalive
            if self._pinged:
                ping_at = self._pinged + CONNECT_TIMEOUT_SECONDS
            if time.monotonic() < ping_at:
                self._packet(min(until, ping_at))
            elif self._pinged:
                raise Unreachable("the broker did not answer within the keepalive time")
            else:
                self._pinged = time.monotonic()
                self._write(_PINGREQ, b"", self._pinged + CONNECT_TIMEOUT_SECONDS)

    def why_lost(self, why: str) -> str:
        """Return why a connection was lost, with the likely cause: another client of the same name ends it each time.

        Mosquitto 2.0.11 only closes the connection then, so a run of losses is only a suspicion.
        """
        now = time.monotonic()
        self._lost_at = [*self._lost_at, now][-_LOSSES_MAX:]
        name = f"our name at the broker (client id {self._client_id}, or our account)"
        if _REASONS[_TAKEN_OVER] in why:
            return f"another client took {name}: {_RIVALS}"
        if len(self._lost_at) == _LOSSES_MAX and now - self._lost_at[0] < _LOSSES_SECONDS:
            often = f"lost {_LOSSES_MAX} times within {_LOSSES_SECONDS / 60:g} minutes"
            why += f"; {often}: if the broker was not restarted, another client uses {name}; {_RIVALS}"
        return why

    def drop(self) -> None:
        """Close after a failure. The goodbye keeps the broker from publishing the last will."""
        if self._stream is not None:
            self._stream.drop(bytes([_DISCONNECT, 0]))
        self._stream = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close(bytes([_DISCONNECT, 0]))
        self._stream = None

    def _log_in_somehow(self) -> None:
        """Raises Unreachable and Stopped.

        After a silence try first without a last will: a frozen broker finds each login in its queue when it goes on,
        and would publish the last will of each.
        """
        if self._is_silent:
            try:
                self._log_in(5, has_will=False)
            except Silent:
                raise
            except VersionRefused:
                pass
            self.drop()
        try:
            self._log_in(5)
        except VersionRefused:
            self.drop()
            self._is_silent = True
            self._log_in(4)
        self._is_silent = False

    def _log_in(self, level: int, has_will: bool = True) -> None:
        """Raises Silent, VersionRefused, Unreachable and Stopped."""
        settings, end = self._settings, time.monotonic() + CONNECT_TIMEOUT_SECONDS
        self._level, self._qos_max, self._keepalive, self._received = level, 1, KEEPALIVE_SECONDS, b""
        self.orders = []
        try:
            secret = settings.secret.read()
        except ValueError as exc:
            raise Unreachable(f"{settings.secret.named[0]}: {exc}") from exc
        self._stream = Stream(settings, self._waiting, end)
        flags = 0x2E if has_will else 0x02  # without an old session; the last will has QoS 1 and is retained
        login = b""
        if settings.username:
            flags, login = flags | 0x80, _text(settings.username)
        if secret is not None:
            flags, login = flags | 0x40, login + _text(secret)
        nothing = b"\0" if level == 5 else b""  # no properties
        head = _text("MQTT") + struct.pack("!BBH", level, flags, KEEPALIVE_SECONDS) + nothing + _text(self._client_id)
        end = time.monotonic() + CONNECT_TIMEOUT_SECONDS
        will = nothing + _text(self._presence) + _text("offline") if has_will else b""
        self._write(_CONNECT, head + will + login, end)
        try:
            kind, body = self._answer(end)
        except Unreachable as exc:
            raise Silent(f"{exc} before it answered the login; is the URL's port right?") from exc
        if kind != _CONNACK or len(body) < 2:
            raise Unreachable("this is no MQTT broker")
        if body[1]:
            why = f"the broker refused the connection: {_reason(body[1])}"
            why += "; check username and the password" if body[1] in (4, 5, 0x86, 0x87) else ""
            raise VersionRefused(why) if body[1] in (1, 0x84) else Unreachable(why)
        if level == 5:
            found = _properties(body[2:])
            self._keepalive = found.get(19, 0) or KEEPALIVE_SECONDS
            self._qos_max = min(found.get(36, 1), 1)

    def _answer(self, end: float) -> "tuple[int, bytes]":
        """Return the first packet of a connection."""
        packet = self._packet(end)
        if packet is None:
            raise _given_up(end, f"no answer within {CONNECT_TIMEOUT_SECONDS:g} s")
        return packet

    def _subscribe(self) -> None:
        """Ask for orders, if any is obeyed. Heartbeats don't wait for the answer (`_packet` logs a refusal).

        QoS 0, in a session that ends with the connection: no broker keeps an order for later.
        """
        if not self._settings.obey:
            return
        self._number = self._number % 65535 + 1
        is_5 = self._level == 5
        body = struct.pack("!H", self._number) + (b"\0" if is_5 else b"") + _text(self._command)
        body += bytes([_AS_PUBLISHED_AND_NO_OLD_ONES if is_5 else 0])
        self._write(_SUBSCRIBE, body, time.monotonic() + self._settings.send_timeout)

    def _keep(self, first: int, body: bytes) -> None:
        """Keep the order of a PUBLISH packet. A retained one is from the past, so it is none. Raises Unreachable."""
        at = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:at]
        at += 2 if first & 0x06 else 0
        if self._level == 5:
            at = _after_properties(body, at)
        if topic != self._command.encode("utf-8") or not self._settings.obey:
            return
        if first & 0x01:
            log("WARNING", "beat_order_ignored reason=it is retained")
        elif len(self.orders) < ORDERS_MAX:
            self.orders.append(body[at:])

    def _publish(self, topic: str, payload: bytes, *, is_retained: bool, qos: int) -> None:
        """Return when the broker acknowledged it (QoS 1) or it is written (QoS 0). Raises Unreachable, or Refused."""
        timeout = self._settings.send_timeout
        end = time.monotonic() + timeout
        qos = min(qos, self._qos_max)
        body = _text(topic)
        if qos:
            self._number = self._number % 65535 + 1
            body += struct.pack("!H", self._number)
        if self._level == 5:
            body += b"\0" if is_retained else struct.pack("!BBI", 5, 2, self._expiry)
        self._write(_PUBLISH | qos << 1 | int(is_retained), body + payload, end)
        while qos:
            packet = self._packet(end)
            if packet is None and time.monotonic() >= end:
                raise Unreachable(f"the broker did not acknowledge within {timeout:g} s: {topic}")
            if packet is not None and packet[0] == _PUBACK and packet[1][:2] == struct.pack("!H", self._number):
                if packet[1][2:3] > b"\x7f":
                    raise Refused(f"the broker refused {topic}: {_reason(packet[1][2])}; see its access list")
                return

    def _write(self, kind: int, body: bytes, end: float) -> None:
        if self._stream is None:
            raise Unreachable("not connected")
        length, size = len(body), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        self._stream.write(bytes([kind]) + size + bytes([length]) + body, end)
        self._sent = time.monotonic()

    def _packet(self, end: float) -> "tuple[int, bytes] | None":
        """Return the next packet that matters: kind and body; None: none before `end` or a signal. Or Unreachable."""
        while True:
            packet = self._cut()
            if packet is None:
                data = self._stream.read(end) if self._stream is not None else None
                if data is None:
                    return None
                self._received += data
                continue
            self._heard, self._pinged = time.monotonic(), 0.0
            first, body = packet
            kind = first & 0xF0
            if kind == _DISCONNECT:
                raise Unreachable("the broker ended the connection: {}".format(_reason((body or b"\0")[0])))
            if kind == _PUBLISH:
                self._keep(first, body)
            if kind == _SUBACK and body[-1:] > b"\x7f":
                log("WARNING", f"beat_orders_not_heard reason=the broker refused {self._command}; see its access list")
            if kind in (_CONNACK, _PUBACK, _PINGRESP) or self.orders:
                return kind, body

    def _cut(self) -> "tuple[int, bytes] | None":
        """Take one whole packet from what was received: its first byte and its body.

        Raises Unreachable if there is none and never will be.
        """
        length, at = 0, 1
        for at in range(1, 5):
            if at >= len(self._received):
                return None
            length |= (self._received[at] & 127) << 7 * (at - 1)
            if self._received[at] < 128:
                break
        else:
            raise Unreachable("the broker sent what is no MQTT packet")
        if length > PACKET_BYTES_MAX:
            raise Unreachable("the broker sent too large a packet")
        end = at + 1 + length
        if len(self._received) < end:
            return None
        first, body = self._received[0], self._received[at + 1 : end]
        self._received = self._received[end:]
        return first, body


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("!H", len(data)) + data


def _reason(code: int) -> str:
    return _REASONS.get(code, f"reason {code}")


def _after_properties(data: bytes, at: int) -> int:
    """Return where the properties that begin there end. Raises Unreachable."""
    length = 0
    for number in range(4):
        if at >= len(data):
            break
        length |= (data[at] & 127) << 7 * number
        at += 1
        if data[at - 1] < 128 and at + length <= len(data):
            return at + length
    raise Unreachable("the broker sent what is no MQTT 5")


def _properties(data: bytes) -> "dict[int, int]":
    """Return the numbers among the properties of an MQTT 5 packet. Raises Unreachable."""
    found: dict[int, int] = {}
    try:
        at = 1
        while data[at - 1] > 127:
            at += 1
        while at < len(data):
            key, at = data[at], at + 1
            size = next((size for size, keys in _SIZES.items() if key in keys), 0)
            if size:
                found[key] = int.from_bytes(data[at : at + size], "big")
            else:
                for _ in range(2 if key == 38 else 1):  # 38 is a pair of texts
                    size += 2 + struct.unpack("!H", data[at + size : at + size + 2])[0]
            at += size
    except (IndexError, struct.error) as exc:
        raise Unreachable("the broker's answer is no MQTT 5") from exc
    if at != len(data):
        raise Unreachable("the broker's answer is no MQTT 5")
    return found


# -- HTTP -------------------------------------------------------------------------------------------------------------

_ADVICE = {
    401: "the API does not accept the token; write a valid one into the token's file",
    403: "the token may not report this host; it needs reporter=HOST, or the role operator",
    404: "the daemon does not know this host; set host to its name in the inventory",
    429: "too many requests",
    503: "the API takes no reports now",
}


class Http:
    """Heartbeats as POST requests over one connection that is kept. There is no last will and no presence."""

    def __init__(self, settings: Settings, waiting: Waiting) -> None:
        self._settings = settings
        self._waiting = waiting
        self._stream: Stream | None = None
        self._is_used = self.is_open = False
        self.orders: list[bytes] = []
        """Always empty: only the bus has orders."""
        self._place = settings.address if ":" not in settings.address else f"[{settings.address}]"
        self._place += f":{settings.port}"

    def open(self) -> None:
        """Raises Unreachable and Stopped."""
        self._hang_up()
        self._stream = Stream(self._settings, self._waiting, time.monotonic() + CONNECT_TIMEOUT_SECONDS)
        self.is_open, self._is_used = True, False

    def send(self, payload: bytes) -> None:
        """Raises Unreachable and Stopped, or Refused."""
        request = self._request(payload)
        if self._stream is None or self._stream.is_over():
            self.open()  # the server closes a connection that was idle for long
        try:
            status, fields, body = self._exchange(request)
        except Unreachable:
            if not self._is_used:
                raise
            self.open()
            status, fields, body = self._exchange(request)
        self._is_used = True
        if 200 <= status < 300:
            return
        try:
            detail = str(json.loads(body.decode("utf-8", "replace"))["detail"])
        except (ValueError, LookupError, TypeError):
            detail = fields.get("location", "")
        why = _ADVICE.get(status, "the API refused the heartbeat")
        after = fields.get("retry-after", "")
        seconds = min(int(after), RETRY_AFTER_MAX_SECONDS) if re.fullmatch("[0-9]{1,9}", after) else 0
        detail = ": " + detail[:REASON_CHARS_MAX] if detail else ""
        raise Refused(f"{why} ({status}{detail})", seconds)

    def say_offline(self) -> None:
        """Nothing: only the bus has presence."""

    def say_evidence(self, payload: bytes) -> None:
        """Nothing: only the bus has evidence."""

    def rest(self, until: float) -> None:
        """Return at this time or after a signal."""
        self._waiting.until(until)

    def why_lost(self, why: str) -> str:
        return why

    def drop(self) -> None:
        self._hang_up()
        self.is_open = False

    close = drop

    def _hang_up(self) -> None:
        """Close the connection; the next heartbeat opens another one."""
        if self._stream is not None:
            self._stream.drop()
        self._stream = None

    def _request(self, payload: bytes) -> bytes:
        """Raises Refused if the token can't be read."""
        settings = self._settings
        lines = [f"POST /api/v1/health/{settings.host} HTTP/1.1", "Host: " + self._place]
        lines += ["User-Agent: fenced-beat/" + VERSION, "Content-Type: application/json"]
        try:
            token = settings.secret.read()
        except ValueError as exc:
            raise Refused(f"{settings.secret.named[0]}: {exc}") from exc
        lines += ["Authorization: Bearer " + token] if token is not None else []
        lines += [f"Content-Length: {len(payload)}", "", ""]
        return "\r\n".join(lines).encode("utf-8") + payload

    def _exchange(self, request: bytes) -> "tuple[int, dict[str, str], bytes]":
        """Return status, header fields and body of the answer. Raises Unreachable."""
        stream, end = self._stream, time.monotonic() + self._settings.send_timeout
        if stream is None:
            raise Unreachable("not connected")
        stream.write(request, end)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more(stream, end, len(received))
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.match(r"HTTP/1\.[01] ([0-9]{3})", first)
        if found is None:
            raise Unreachable("this is no HTTP server")
        status = int(found.group(1))
        pairs = [line.partition(":") for line in lines]
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = fields.get("content-length", "0" if status in (204, 304) else "")
        is_whole = re.fullmatch("[0-9]{1,5}", length) is not None
        while is_whole and len(body) < int(length):
            body += self._more(stream, end, len(body))
        if not is_whole or fields.get("connection", "").lower() == "close" or first.startswith("HTTP/1.0"):
            self._hang_up()  # a body of unknown length is not read
        return status, fields, body

    def _more(self, stream: Stream, end: float, size: int) -> bytes:
        if size >= PACKET_BYTES_MAX:
            raise Unreachable("the answer is too long")
        data = stream.read(end)
        if data is None and time.monotonic() >= end:
            raise Unreachable(f"the API did not answer within {self._settings.send_timeout:g} s")
        return data or b""


# -- orders -----------------------------------------------------------------------------------------------------------


class Order:
    """What the daemon orders (interface.md#commands). `token`: (epoch, sequence). `within`: seconds."""

    def __init__(self, payload: bytes) -> None:
        """Raises ValueError with the reason."""
        try:
            body = json.loads(payload.decode("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise ValueError("it is no JSON") from exc
        if not isinstance(body, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004 - of the message
        texts = {key: body.get(key) for key in ("id", "token", "boot", "do", "reason")}
        for key, text in texts.items():
            if not isinstance(text, str) or len(text) > TEXT_CHARS_MAX or (not text and key != "reason"):
                raise ValueError(f"{key} must be text")
        self.id, self.boot, self.do, self.reason = (str(texts[key]) for key in ("id", "boot", "do", "reason"))
        self.token = parse_token(str(texts["token"]))
        sequence, within = body.get("seq"), body.get("within")
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            raise ValueError("seq must be a whole number")  # noqa: TRY004 - of the message
        if not isinstance(within, (int, float)) or isinstance(within, bool) or not 0 < within <= WITHIN_MAX_SECONDS:
            raise ValueError(f"within must be above 0 and at most {WITHIN_MAX_SECONDS:g} seconds")
        self.sequence, self.within = sequence, within

    def __str__(self) -> str:
        token = "{}-{}".format(*self.token)
        return f"id={self.id[:REASON_CHARS_MAX]} token={token}"


def parse_token(text: str) -> "tuple[int, int]":
    """Return (epoch, sequence). Raises ValueError."""
    found = re.fullmatch("([0-9]{1,18})-([0-9]{1,18})", text)
    if found is None:
        raise ValueError("token must be EPOCH-SEQUENCE")
    return int(found.group(1)), int(found.group(2))


class Workloads:
    """How many workloads run here: said by an option, or by a file that the host's own scheduler writes.

    An old file is of a scheduler that died, so it says nothing. Its age is by the wall clock, which may jump: so a
    file from the future says nothing either, nor one that stayed the same for too long by the clock since the boot.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._version = (0, 0)
        self._since = 0.0

    def read(self) -> "int | None":
        """Return None if nobody says it. Raises ValueError with the reason if the file should, and does not."""
        path = self._settings.workloads_file
        if not path:
            return self._settings.workloads
        try:
            found = os.stat(path)  # before the content: a file that is replaced now counts as older than it is
        except OSError as exc:
            raise ValueError("can't be read: %s" % (exc.strerror or type(exc).__name__)) from exc
        text = read_file(path, WORKLOADS_BYTES_MAX).strip()
        version, now = (found.st_ino, found.st_mtime_ns), uptime()
        if version != self._version:
            self._version, self._since = version, now
        age = time.time() - found.st_mtime
        if age < -AHEAD_MAX_SECONDS:
            raise ValueError("was written in the future by this machine's clock")
        age = max(age, now - self._since)
        if age > WORKLOADS_INTERVALS * self._settings.interval:
            raise ValueError(f"was written more than {WORKLOADS_INTERVALS:g} intervals ago")
        if re.fullmatch("[0-9]{1,7}", text) is None or int(text) > WORKLOADS_MAX:
            raise ValueError(f"must hold one whole number, at most {WORKLOADS_MAX}")
        return int(text)


class Orders:
    """Decides whether an order is obeyed (interface.md#commands). It does nothing itself; `Beat` does.

    Each order belongs to one boot and to one heartbeat of it, and counts for a short time after that heartbeat was
    sent, by this machine's own clock. So a late or repeated one is refused, whatever the network and the broker did. A
    restarted program knows no sent heartbeat, and refuses until the daemon has heard a new one.
    """

    def __init__(self, settings: Settings, workloads: Workloads) -> None:
        self._settings, self._workloads = settings, workloads
        self._sent: dict[int, float] = {}
        folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        self._file = folder + "/token" if folder and settings.obey else ""
        self._highest = (-1, -1)
        self._fault = ""
        if self._file and os.path.lexists(self._file):
            try:
                self._highest = parse_token(read_file(self._file, FILE_BYTES_MAX).strip())
            except ValueError as exc:
                self._fault = f"{self._file}, the highest token seen: {exc}; remove it once no order is under way"
                log("ERROR", "beat_orders_not_obeyed reason=" + self._fault)

    def sent(self, sequence: int) -> None:
        """Remember when this heartbeat is sent: call it before, so that its time is never too late."""
        if self._settings.obey:
            self._sent[sequence] = uptime()
            if len(self._sent) > SENT_MAX:
                del self._sent[next(iter(self._sent))]

    def is_again(self, order: Order) -> bool:
        """Return whether this order was seen just before: a duplicate."""
        return order.token == self._highest

    def why_not_new(self, order: Order) -> str:
        """Return why an order that just came is not obeyed, or "". Its token is kept first, and lastingly: no other
        order with it, and no older one, is obeyed later."""
        if self._fault:
            return self._fault
        if order.token <= self._highest:
            return "its token is not above {}-{}, the highest seen".format(*self._highest)
        self._highest = order.token
        try:
            self._keep()
        except OSError as exc:
            return f"can't keep its token in {self._file}: {exc.strerror or exc}"
        return self.why_not(order)

    def why_not(self, order: Order) -> str:
        """Return why the order is not obeyed at this moment, or ""."""
        if order.do not in self._settings.obey:
            return f"this host does not obey {order.do[:80]!r}"
        if order.boot != self._settings.boot:
            return "it is for another boot of this host"
        sent = self._sent.get(order.sequence)
        if sent is None:
            return "it names a heartbeat that this program did not send, or that is long past"
        age = uptime() - sent
        if age > order.within:
            return f"it is late: its heartbeat was sent {age:.1f} s ago, and it counts for {order.within:g} s"
        try:
            count = self._workloads.read()
        except ValueError as exc:
            return f"nobody says that nothing runs here: {self._settings.workloads_file} {exc}"
        return "" if count == 0 else f"{count} workloads run here"

    def _keep(self) -> None:
        """Raises OSError."""
        if not self._file:
            return
        written = os.open(self._file + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(written, "{}-{}\n".format(*self._highest).encode("ascii"))
            os.fsync(written)
        finally:
            os.close(written)
        os.replace(self._file + ".new", self._file)
        folder = os.open(os.path.dirname(self._file), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def uptime() -> float:
    return time.clock_gettime(_CLOCK_BOOTTIME)


# -- the heartbeats ---------------------------------------------------------------------------------------------------


class Delays:
    """Seconds until the next attempt to connect: doubled each time up to a bound, and half of it is random."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._seconds = RECONNECT_MIN_SECONDS

    def next(self) -> float:
        seconds, self._seconds = self._seconds, min(2 * self._seconds, RECONNECT_MAX_SECONDS)
        return seconds * (0.5 + 0.5 * _chance())

    def after_a_loss(self, lasted_seconds: float) -> float:
        """Spread it over an interval, too: a broker that restarts loses the whole fleet at once."""
        if lasted_seconds >= STABLE_AFTER_SECONDS:
            self._seconds = RECONNECT_MIN_SECONDS
        return max(self.next(), _chance() * min(self._interval, RECONNECT_MAX_SECONDS))


def _chance() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Beat:
    """Sends heartbeats over `way` until the service or the machine stops."""

    def __init__(self, settings: Settings, way: "Mqtt | Http", waiting: Waiting, notify: Notify) -> None:
        self._settings = settings
        self._way = way
        self._waiting = waiting
        self._notify = notify
        self._sequence = 0
        self._is_accepted = False
        self._trouble = ""
        self._delays = Delays(settings.interval)
        self._opened = self._due = 0.0
        self._workloads = Workloads(settings)
        self._orders = Orders(settings, self._workloads)
        self._uncounted = ""
        self._going_down_until: float | None = None
        """An order to shut down is obeyed: until then, in seconds since the boot, each heartbeat says `stopping`."""

    def run(self) -> None:
        """Without a connection no heartbeat is kept; a new connection starts with one."""
        status = "heartbeats of " + self._settings.host
        self._notify.send("READY=1", status)
        self._due = retry = time.monotonic()
        while not self._waiting.is_stopping:
            now = time.monotonic()
            try:
                if self._way.is_open and now >= self._due:
                    self._due = now + self._settings.interval
                    self._send("ok" if self._going_down_until is None else "stopping")
                    if not self._is_accepted:
                        log("INFO", "beat_connected")
                        self._notify.send("", status)
                    self._is_accepted, self._trouble = True, ""
                    self._give_up_going_down()
                elif self._way.is_open and self._way.orders:
                    self._take(self._way.orders.pop(0))
                elif self._way.is_open:
                    self._way.rest(self._due)
                elif now >= retry:
                    self._way.open()
                    self._opened = self._due = time.monotonic()
                else:
                    self._waiting.until(retry)
            except Refused as exc:
                self._due = max(self._due, now + exc.after)
                self._is_accepted = False
                self._report("beat_not_taken status=ok", str(exc))
            except Unreachable as exc:
                retry = time.monotonic() + self._failed(str(exc))
            except Stopped:
                break
        self._end()

    def _send(self, status: str = "ok") -> None:
        """See interface.md#heartbeats. The sequence number rises within a boot, also when this program restarts."""
        settings = self._settings
        self._sequence = max(self._sequence + 1, int(uptime() * 1000))
        body: dict[str, object] = {"boot": settings.boot, "seq": self._sequence, "status": status}
        body["interval"] = settings.interval
        workloads = self._counted()
        if workloads is not None:
            body["workloads"] = workloads
        if settings.roles:
            body["roles"] = settings.roles
        if status == "ok":
            self._orders.sent(self._sequence)
        self._way.send(json.dumps(body, separators=(",", ":")).encode("ascii"))

    def _counted(self) -> "int | None":
        """Return the number of workloads, or None if nobody says it now; log each reason once."""
        try:
            count, why = self._workloads.read(), ""
        except ValueError as exc:
            count, why = None, str(exc)
        if why and why != self._uncounted:
            log("WARNING", f"beat_workloads_not_said reason={self._settings.workloads_file} {why}")
        self._uncounted = why
        return count

    def _take(self, payload: bytes) -> None:
        """Obey an order, or say `busy`. Raises Unreachable and Stopped; then it is not obeyed."""
        try:
            order = Order(payload)
        except ValueError as exc:
            self._refuse("id= token=", str(exc))
            return
        if self._orders.is_again(order):
            log("INFO", f"beat_order_ignored {order} reason=it came before")
            return
        why = self._orders.why_not_new(order)
        if not why and self._going_down_until is not None:
            log("INFO", f"beat_order_ignored {order} reason=this machine is shutting down")
        elif why or not self._say_stopping(order):
            self._refuse(str(order), why or "the broker refused `stopping`")
        else:
            self._shut_down(order)

    def _say_stopping(self, order: Order) -> bool:
        """Return False if the broker refused it. Raises Unreachable: unannounced, a host that goes down looks dead."""
        try:
            self._send("stopping")
        except Refused:
            return False
        except Unreachable:
            log("WARNING", f"beat_order_refused {order} reason=can't say `stopping`")
            raise
        return True

    def _shut_down(self, order: Order) -> None:
        """Check everything once more, because saying `stopping` took a while, and run the system's shutdown."""
        why = self._orders.why_not(order)
        if self._waiting.is_stopping:
            return
        if not why:
            log("INFO", f"beat_order_obeyed {order} reason={order.reason[:REASON_CHARS_MAX]}")
            why = self._run(self._settings.shutdown_command)
        if why:
            self._due = time.monotonic()  # take `stopping` back at once
            self._refuse(str(order), why)
        else:
            self._going_down_until = uptime() + SHUTDOWN_MAX_SECONDS

    def _give_up_going_down(self) -> None:
        """Say `ok` again if the machine did not go down, whatever its shutdown program reported."""
        if self._going_down_until is not None and uptime() >= self._going_down_until:
            self._going_down_until = None
            self._due = time.monotonic()
            self._refuse("id= token=", f"this machine did not go down within {SHUTDOWN_MAX_SECONDS:g} s")

    def _run(self, command: "tuple[str, ...]") -> str:
        """Return why the program failed, or "". A signal meanwhile means that the machine begins to stop."""
        import subprocess  # here, because it is needed rarely

        end = time.monotonic() + SHUTDOWN_COMMAND_SECONDS
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            return f"can't run {command[0]}: {exc}"
        while process.poll() is None and not self._waiting.is_stopping:
            if time.monotonic() >= end:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(KILL_SECONDS)
                except (OSError, subprocess.SubprocessError):
                    pass  # it runs as another user (sudo), or hangs in the kernel; heartbeats don't wait for it
                return f"{command[0]} did not end within {SHUTDOWN_COMMAND_SECONDS:g} s"
            del self._way.orders[:]  # one at a time: this one is being obeyed
            try:
                self._way.rest(time.monotonic() + 0.1)
            except Unreachable:
                self._waiting.until(time.monotonic() + 0.1)
        return f"{command[0]} failed with status {process.returncode}" if process.returncode else ""

    def _refuse(self, which: str, why: str) -> None:
        """Say why nothing is shut down: in the log, and to the daemon as evidence `busy`. Raises Unreachable."""
        log("WARNING", f"beat_order_refused {which} reason={why}")
        body = {"kind": "busy", "alive": True, "ttl": BUSY_SECONDS, "reason": why[:REASON_CHARS_MAX]}
        try:
            self._way.say_evidence(json.dumps(body, separators=(",", ":")).encode("ascii"))
        except Refused as exc:
            log("WARNING", f"beat_not_taken evidence=busy reason={exc}")

    def _failed(self, why: str) -> float:
        """Report a failed or lost connection, and return the seconds until the next attempt."""
        if self._way.is_open:
            self._trouble = ""
            self._report("beat_disconnected", self._way.why_lost(why))
            delay = self._delays.after_a_loss(time.monotonic() - self._opened)
        else:
            self._report("beat_unreachable", why)
            delay = self._delays.next()
        self._way.drop()
        self._is_accepted = False
        return delay

    def _report(self, event: str, why: str) -> None:
        """Log each reason once."""
        if self._trouble != event + why:
            self._trouble = event + why
            log("WARNING", f"{event} reason={why}")
        self._notify.send("", "heartbeats do not arrive: " + why)

    def _end(self) -> None:
        self._notify.send("STOPPING=1")
        if self._way.is_open and (self._going_down_until is not None or is_machine_shutting_down()):
            try:
                self._send("stopping")
                self._way.say_offline()
            except (Refused, Unreachable, Stopped) as exc:
                log("WARNING", f"beat_not_taken status=stopping reason={exc}")
        self._way.close()


# -- the program ------------------------------------------------------------------------------------------------------


def options(program: str = "fenced-beat") -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Send heartbeats of this machine, and `stopping` when it shuts down.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="configuration file, instead of the options up to --key-file"
    )
    parser.add_argument("--bus", metavar="URL", help="broker: mqtt://HOST:PORT, or mqtts:// for TLS")
    parser.add_argument("--api", metavar="URL", help="the daemon's API instead: https://HOST:PORT")
    parser.add_argument("--site", metavar="S", help="the daemon's site (default: site-1)")
    parser.add_argument("--host", metavar="H", help="this machine's name in the inventory")
    parser.add_argument("--interval", metavar="D", help="time between two heartbeats (default: 5s)")
    parser.add_argument("--username", metavar="NAME", help="account at the broker")
    parser.add_argument("--password-file", metavar="FILE", help="file with the password on one line")
    parser.add_argument("--token-file", metavar="FILE", help="file with the token of the API on one line")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authority to trust (default: the system's)")
    parser.add_argument("--cert-file", metavar="FILE", help="client certificate")
    parser.add_argument("--key-file", metavar="FILE", help="its private key")
    parser.add_argument(
        "--boot", metavar="ID", help="boot id to send instead of the kernel's (a lab has many hosts on one machine)"
    )
    parser.add_argument(
        "--workloads", type=_count, metavar="N", help="how many workloads run here; lengthens the grace"
    )
    parser.add_argument(
        "--workloads-file", metavar="FILE", help="or: file with their number, written anew within three intervals"
    )
    parser.add_argument(
        "--obey", action="append", choices=ORDERS, help="order of the daemon that is obeyed; may be repeated"
    )
    parser.add_argument(
        "--shutdown-command", action="append", metavar="WORD", help="program, then each argument, of the shutdown"
    )
    parser.add_argument(
        "--role", action="append", default=[], metavar="ROLE", help="role of this host; may be repeated"
    )
    parser.add_argument(
        "--qos", type=int, choices=(0, 1), default=1, help="1 (default): the broker acknowledges each heartbeat"
    )
    parser.add_argument("--version", action="version", version=VERSION)
    return parser


def _count(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def from_file(path: str) -> "tuple[Settings | None, list[str]]":
    """Return the settings of a file (None: it has a mistake), and every mistake and warning as a line."""
    try:
        tables, broken = parse_toml(read_file(path, FILE_BYTES_MAX))
    except ValueError as exc:
        return None, [f"{path}: {exc}"]
    checked = Checked(tables.get("beat", {}), os.path.dirname(os.path.abspath(path)))
    found = broken + [("beat." + key, why) for key, why in checked.mistakes + checked.warnings]
    return None if broken else checked.settings, [f"{path}: {where}: {why}" for where, why in found]


def from_options(parser: argparse.ArgumentParser, given: "dict[str, object]") -> "tuple[Settings, list[str]]":
    """Return the settings, and warnings as lines. Exits with 2 for a mistake."""
    if not given.get("host"):
        parser.error("--%s needs --host" % ("api" if given.get("api") else "bus"))
    checked = Checked(given, os.getcwd())
    for key, why in checked.mistakes:
        parser.error("--{}: {}".format(key.replace("_", "-"), why))
    assert checked.settings is not None, "there is no mistake"
    return checked.settings, ["--{}: {}".format(key.replace("_", "-"), why) for key, why in checked.warnings]


def main(arguments: "list[str] | None" = None, program: str = "fenced-beat") -> int:
    """Send heartbeats until SIGTERM; return the exit status."""
    parser = options(program)
    chosen = parser.parse_args(arguments)
    given = {key: vars(chosen)[key] for key, _, _, _, _ in KEYS if vars(chosen).get(key) is not None}
    if chosen.workloads is not None and chosen.workloads_file:
        parser.error("give either --workloads N or --workloads-file FILE")
    if bool(chosen.config) == bool(given) or (given and ("bus" in given) == ("api" in given)):
        parser.error("give either -c FILE, or --bus URL or --api URL, and --host H")
    settings, lines = from_file(chosen.config) if chosen.config else from_options(parser, given)
    sys.stderr.writelines(line + "\n" for line in lines)
    sys.stderr.flush()
    if settings is None:
        return EXIT_CONFIGURATION
    try:
        settings.boot = chosen.boot or read_file(BOOT_ID_FILE, FILE_BYTES_MAX).strip()
    except ValueError as exc:
        log("ERROR", f"{BOOT_ID_FILE}: {exc}; give --boot ID")
        return 1
    settings.workloads, settings.roles, settings.qos = chosen.workloads, chosen.role, chosen.qos
    notify = Notify()
    waiting = Waiting(notify)
    way = Mqtt(settings, waiting) if settings.is_mqtt else Http(settings, waiting)
    Beat(settings, way, waiting, notify).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
