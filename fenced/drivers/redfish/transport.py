"""Speaks HTTP with a BMC's Redfish service: bounded answers, few connections, no redirects to other hosts (DSP0266).

It knows requests and connections, but no resources. A command that may have reached the BMC is never sent twice, and
its error says that it may be done.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter

from fenced.drivers.redfish.answers import Answer, parse
from fenced.drivers.redfish.target import Target, inside, redirected
from fenced.net import handshake
from fenced.net.offer import explained
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable, LoginRefused

BODY_BYTES_MAX: Final = 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
REDIRECTS_MAX: Final = 3
CONNECTIONS_PER_BMC_MAX: Final = 4
IDLE_SECONDS: Final = 15.0
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SAME_METHOD_REDIRECTS: Final = frozenset({307, 308})
TEXT_CHARACTERS_MAX: Final = 300
HANGING_UP: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""How a connection ends during a handshake if the peer sends no alert."""


class Body(aiohttp.BytesPayload):
    """A command's body. aiohttp writes it last, so this is the last moment to hold the command back.

    It then calls `is_late`: the deadline may have passed while connecting, on a clock that also counts suspend.
    """

    def __init__(self, value: Mapping[str, Any], *, is_late: Callable[[], bool]) -> None:
        super().__init__(json.dumps(value).encode(), content_type="application/json")
        self._is_late = is_late
        self.is_held = False
        self.is_written = False

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._is_late():
            self.is_held = True
            raise TimeoutError("too late to be sent")
        self.is_written = True
        await super().write_with_length(writer, content_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a BMC.

    `body`: only for commands, which may be done despite an error. Headers and JSON hold secrets.
    """

    method: str
    url: yarl.URL
    headers: Mapping[str, str] = field(repr=False)
    body: Body | None = None
    json: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the BMC may act on the request."""
        return self.body is not None and self.body.is_written


class Transport:
    """The HTTP client for all BMCs; keeps few connections to each and closes idle ones soon."""

    def __init__(self) -> None:
        self._shared: aiohttp.ClientSession | None = None

    async def get(self, target: Target, path: str, headers: Mapping[str, str]) -> Answer:
        """Read a resource; follow redirects within the BMC. Raises DeviceError."""
        url = inside(target, path)
        for _ in range(REDIRECTS_MAX):
            answer = await self.send(target, Request(method="GET", url=url, headers=headers))
            if answer.status not in REDIRECTS or answer.location is None:
                return answer
            url = redirected(target, answer.location, seen_from=url)
        raise DeviceError(f"{target.base} redirects in a circle ({REDIRECTS_MAX} times)", may_be_done=False)

    async def command(self, target: Target, path: str, headers: Mapping[str, str], body: Body) -> Answer:
        """Send a command once; follow only redirects that keep the method (307, 308). Raises DeviceError.

        The command gets a new connection: on an idle one that the BMC is closing it would be sent and never answered,
        and so be in doubt. aiohttp repeats a read in that case, but never a command.
        """
        url = inside(target, path)
        async with _connections(1, is_kept=False) as own:
            answer = await _send(target, Request(method="POST", url=url, headers=headers, body=body), own)
            if answer.status not in REDIRECTS or answer.location is None:
                return answer
            if answer.status not in SAME_METHOD_REDIRECTS:
                raise DeviceError(f"{target.base} answered a command with a redirect ({answer.status})")
            url = redirected(target, answer.location, seen_from=url)
            answer = await _send(target, Request(method="POST", url=url, headers=headers, body=body), own)
            if answer.status in REDIRECTS:
                raise DeviceError(f"{target.base} redirects a command more than once")
            return answer

    async def send(self, target: Target, request: Request) -> Answer:
        """Send one request on the shared connections; return redirects as answers. Raises DeviceError."""
        if self._shared is None:
            self._shared = _connections(CONNECTIONS_PER_BMC_MAX, is_kept=True)
        return await _send(target, request, self._shared)

    async def close(self) -> None:
        """Close all connections; idempotent."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close()


def _connections(most: int, *, is_kept: bool) -> aiohttp.ClientSession:
    """`most`: limit of connections to one BMC."""
    if is_kept:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=most, keepalive_timeout=IDLE_SECONDS)
    else:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=most, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # the caller's deadline holds for the whole call
        auto_decompress=False,
    )


async def _send(target: Target, request: Request, connections: aiohttp.ClientSession) -> Answer:
    """Send one request; convert aiohttp's exceptions."""
    try:
        async with connections.request(
            request.method,
            request.url,
            data=request.body,
            json=request.json,
            headers=request.headers,
            ssl=target.tls,
            allow_redirects=False,
        ) as response:
            return await _answer(response, request)
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch) as exc:
        raise LoginRefused(
            f"{target.base}: {_distrust(exc)}; set ca_file or fingerprint to the right one", may_be_done=False
        ) from exc
    except aiohttp.ClientConnectorError as exc:
        raise await _no_connection(target, exc) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise _broken(target, request, exc) from exc
    except ValueError as exc:
        raise DeviceError(
            f"{target.base}: its answer is malformed ({_reason(exc)})",
            may_be_done=request.is_in_doubt,
            is_end_known=not request.is_in_doubt,
        ) from exc


async def _answer(response: aiohttp.ClientResponse, request: Request) -> Answer:
    """Read an answer. Raises DeviceError if its body is too long. The caller checks whether it is a JSON object."""
    content = bytearray()
    async for piece in response.content.iter_chunked(PIECE_BYTES):
        content += piece
        if len(content) > BODY_BYTES_MAX:
            raise DeviceError(
                f"{response.url.origin()} sent more than {BODY_BYTES_MAX} bytes", may_be_done=request.is_in_doubt
            )
    body, text = parse(content)
    return Answer(
        status=response.status,
        body=body,
        text=text,
        location=response.headers.get("Location"),
        retry_after=response.headers.get("Retry-After"),
        date=response.headers.get("Date"),
        token=response.headers.get("X-Auth-Token"),
    )


def _broken(target: Target, request: Request, exc: Exception) -> DeviceError:
    """Return the error for a connection that ended without an answer. Raises the caller's own TimeoutError again."""
    if request.body is not None and request.body.is_held:
        return DeviceTimedOut(f"{target.base}: the deadline had passed before the command was sent", may_be_done=False)
    if isinstance(exc, TimeoutError):
        raise exc
    return DeviceUnreachable(
        f"{target.base}: the connection broke ({_reason(exc)})",
        may_be_done=request.is_in_doubt,
        is_end_known=not request.is_in_doubt,
    )


def _reason(exc: BaseException) -> str:
    """Return the kernel's words, or the kind of aiohttp's error: its text quotes what the BMC sent."""
    cause = exc.__cause__ or exc.__context__
    if isinstance(exc, OSError):
        return (str(exc) or (str(cause) if cause else "") or type(exc).__name__)[:200]
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "it hung up"
    return type(exc).__name__ if cause is None else f"{type(exc).__name__}, {type(cause).__name__}"


async def _no_connection(target: Target, exc: aiohttp.ClientConnectorError) -> DeviceUnreachable:
    """Return the error for a failed connection; for a failed TLS handshake, say what the BMC offers."""
    found = handshake.fault(exc)
    if found is None and target.base.scheme == "https" and isinstance(exc.os_error, HANGING_UP):
        found = handshake.hung_up()
    if found is None:
        return DeviceUnreachable(f"{target.base}: no connection ({_reason(exc)})", may_be_done=False)
    hint = ""
    if not target.is_legacy:
        known = await explained(found, target.base.host or "", target.base.port or 0)
        is_too_old = known is not found and known.cause is not handshake.Cause.HUNG_UP
        hint = '; tls = "legacy" at the device allows it' if is_too_old else ""
        found = known
    return DeviceUnreachable(f"{target.base}: {found}{hint}", may_be_done=False)


def _distrust(exc: aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch) -> str:
    if isinstance(exc, aiohttp.ServerFingerprintMismatch):
        return f"TLS handshake: its certificate is not trusted (its fingerprint is {exc.got.hex()})"
    return str(handshake.fault(exc) or exc.certificate_error)[:TEXT_CHARACTERS_MAX]
