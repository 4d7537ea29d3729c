"""The HTTP client of `fencectl`: one connection, JSON both ways, and three errors for every failure.

Uses only the standard library, because importing aiohttp alone takes half a second (docs/adr/0008-api.md). Every call
has a deadline, and a request that may change something is never sent twice.
"""

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from fenced import __version__
from fenced.cli.fencectl.place import UNIX, why_denied
from fenced.net import handshake

CALL_TIMEOUT_SECONDS: Final = 15.0
STREAM_TIMEOUT_SECONDS: Final = 45.0
"""Three intervals of the server's keep-alive lines."""
ANSWER_MAX_BYTES: Final = 64 * 1024 * 1024
LINE_MAX_BYTES: Final = 1024 * 1024
REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 422, 429})
PAGE: Final = 1000
ITEMS_MAX: Final = 1_000_000
Json = dict[str, Any]


class Unreachable(Exception):
    """The daemon does not answer, or something else does. The text says what to check."""


class NotSent(Unreachable):
    """No connection: the daemon has not seen the request, so it may be sent to another controller."""


class Standby(Unreachable):
    """The controller does not act, and did nothing. `active`: the URL of the one that does, if it named one."""

    def __init__(self, why: str, active: str) -> None:
        super().__init__(why)
        self.active = active


class NotEverywhere(Unreachable):
    """A change of all shards that some did not obey. `missing`: those, each with the URL of its controller, or ""."""

    def __init__(self, why: str, missing: Mapping[str, str]) -> None:
        super().__init__(why)
        self.missing = missing


class Refused(Exception):
    """The daemon refused. `problem` is its RFC 9457 document."""

    def __init__(self, problem: Json) -> None:
        super().__init__(str(problem.get("detail", "refused")))
        self.problem = problem
        self.status = int(problem.get("status", 0))
        self.rule = str(problem.get("rule", ""))


class DaemonFailed(Exception):
    """The daemon failed (500). It is not known whether it carried the request out."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One daemon. `by`: the name for the journal. `timeout_seconds`: for one call; `connect_seconds`: to connect."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        ca_file: str | None,
        by: str,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        connect_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        """Raises ValueError for a bad address, Unreachable for a certificate file that can't be read."""
        parts = urlsplit(url)
        self._path = url.removeprefix(UNIX) if url.startswith(UNIX) else ""
        if not self._path.startswith("/") and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"{url!r} is not an address such as http://127.0.0.1:8470 or unix:/run/fenced/api.sock")
        self.url = url.rstrip("/")
        self._timeout_seconds, self._connect_seconds = timeout_seconds, connect_seconds
        self._prefix = ("" if self._path else parts.path.rstrip("/")) + "/api/v1"
        self._host, self._port = parts.hostname or "", parts.port
        self._context = _context(ca_file) if parts.scheme == "https" else None
        self._headers = {"Accept": "application/json", "User-Agent": f"fencectl/{__version__}"}
        if by:
            self._headers["X-Fenced-By"] = by
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: http.client.HTTPConnection | None = None

    def get(self, *path: str, query: Mapping[str, str | int | None] | None = None) -> Json:
        """Raises Unreachable, Refused, DaemonFailed."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        target = self._target(path) + (f"?{urlencode(given)}" if given else "")
        return self._call("GET", target, None)

    def readiness(self) -> Json:
        """Return the body of /readyz, also where it says that the daemon is not ready. Raises Unreachable, Refused."""
        target = self._prefix.removesuffix("/api/v1") + "/readyz"
        status, text = self._repeated("GET", target, None)
        if status not in (200, 503) or "ready" not in _json_object(text):
            self._raise(status if status >= 300 else 502, text)
        return self._parse(text)

    def items(
        self, *path: str, query: Mapping[str, str | int | None] | None = None, limit: int | None = None
    ) -> list[Json]:
        """Return a whole list, page by page, or its first `limit` items."""
        found: list[Json] = []
        after: str | None = None
        while True:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            page = self.get(*path, query={**(query or {}), "limit": size, "after": after})
            found += page["items"]
            before, after = after, page["next"]
            if after is not None and (after == before or not page["items"] or len(found) > ITEMS_MAX):
                raise Unreachable(f"{self.url} sends endless pages: check that it is a fenced daemon")
            if after is None or (limit is not None and len(found) >= limit):
                return found

    def send(self, method: str, *path: str, body: Mapping[str, Any] | None = None, key: str = "") -> Json:
        """POST, PUT or DELETE. `key`: the daemons obey a request with it once, however often it is sent.

        Raises Unreachable (NotSent, Standby, NotEverywhere), Refused, DaemonFailed.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(method, self._target(path), json.dumps(body or {}).encode(), headers)

    def stream(self, *path: str, last_id: str | None) -> Iterator[tuple[str, str]]:
        """Connect, then yield (id, data) of server-sent events until the stream ends.

        Raises Unreachable, also while it is read, and Refused.
        """
        connection = self._connected(STREAM_TIMEOUT_SECONDS)
        headers = {**self._headers, "Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        try:
            connection.request("GET", self._target(path), headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                with response, contextlib.closing(connection):
                    self._raise(response.status, response.read(ANSWER_MAX_BYTES))
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise Unreachable(self._why(exc)) from exc
        return self._read_stream(connection, response)

    def _read_stream(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> Iterator[tuple[str, str]]:
        try:
            yield from _events(response)
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable(self._why(exc)) from exc
        finally:
            response.close()
            connection.close()

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _target(self, path: tuple[str, ...]) -> str:
        return "/".join((self._prefix, *(quote(part, safe="") for part in path)))

    def _connected(self, timeout_seconds: float) -> http.client.HTTPConnection:
        """Return a connection. Raises NotSent."""
        connection = self._new(self._connect_seconds)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise NotSent(self._why(exc)) from exc
        assert connection.sock is not None
        connection.sock.settimeout(timeout_seconds)
        return connection

    def _new(self, timeout_seconds: float) -> http.client.HTTPConnection:
        if self._path:
            return _UnixConnection(self._path, timeout=timeout_seconds)
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_seconds, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)

    def _call(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Json:
        status, text = self._repeated(method, target, body, headers)
        if status >= 300:
            self._raise(status, text)
        return self._parse(text) if text else {}

    def _repeated(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, bytes]:
        """Exchange a request; repeat a GET once on a new connection. Raises Unreachable."""
        is_kept = self._connection is not None
        try:
            return self._exchange(method, target, body, headers)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if method != "GET" or not is_kept:
                raise Unreachable(self._why(exc)) from exc
            try:  # the server closed the kept connection; a GET can be repeated
                return self._exchange(method, target, body, headers)
            except (OSError, http.client.HTTPException) as again:
                self.close()
                raise Unreachable(self._why(again)) from again

    def _exchange(self, method: str, target: str, body: bytes | None, more: Mapping[str, str]) -> tuple[int, bytes]:
        if self._connection is None or self._connection.sock is None:  # or closed after its last answer
            self._connection = self._connected(self._timeout_seconds)
        headers = {**self._headers, **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, target, body=body, headers=headers)
        response = self._connection.getresponse()
        try:
            text = response.read(ANSWER_MAX_BYTES)
            if not response.isclosed():
                raise http.client.HTTPException("the answer is larger than 64 MiB")
        finally:
            response.close()  # the connection does not close it if it was the last answer on it
        return response.status, text

    def _raise(self, status: int, text: bytes) -> None:
        problem, why = _json_object(text), f"{self.url}: {_detail(text, status)}"
        if status == 503 and problem.get("rule") == "standby":
            raise Standby(why, _url(problem.get("active")))
        if status == 503 and problem.get("rule") == "shards":
            raise NotEverywhere(why, {str(one["shard"]): _url(one.get("active")) for one in problem["shards"]})
        if status in (502, 503, 504):
            raise Unreachable(f"{self.url} accepts no requests now: {_detail(text, status)}")
        if status >= 500:
            raise DaemonFailed(
                f"{_detail(text, status)}; it is not known whether the request was carried out: see `fencectl show`"
            )
        if status not in REFUSALS:
            raise Unreachable(f"{self.url} answers with HTTP {status}: check that it is a fenced daemon")
        raise Refused(
            {"title": http.client.responses.get(status, ""), "detail": "refused", **problem, "status": status}
        )

    def _parse(self, text: bytes) -> Json:
        found = _json_object(text)
        if not found:
            raise Unreachable(f"{self.url} does not answer like a fenced daemon: check the address")
        return found

    def _why(self, error: Exception) -> str:
        if (found := handshake.fault(error)) is not None:
            hint = "; give --ca-file" if found.cause is handshake.Cause.CERTIFICATE else ""
            return f"can't reach {self.url}: {found}{hint}"
        if isinstance(error, TimeoutError):
            return f"{self.url} did not answer in time"
        if self._path and isinstance(error, PermissionError):
            return f"can't open {self._path}: {why_denied(self._path)}"
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        return f"can't reach {self.url}: {text}; is the daemon running?"


def pause(seconds: float) -> None:
    """Sleep between two polls; a function so that Ctrl-C is caught in one place."""
    time.sleep(seconds)


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise Unreachable(f"can't use the certificates of {ca_file}: {exc}") from exc


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    identity, data = "", []
    while line := response.readline(LINE_MAX_BYTES):
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            identity = value
        elif name == "data":
            data.append(value)
        elif not name and not value and data:
            yield identity, "\n".join(data)
            data = []


def _json_object(text: bytes) -> Json:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _url(given: object) -> str:
    return given if isinstance(given, str) else ""


def _detail(text: bytes, status: int) -> str:
    return str(_json_object(text).get("detail", f"HTTP {status}"))
