"""Sends one request to a proxy agent, reads a bounded answer, and converts transport failures to the errors of `ports`.

Knows aiohttp and TLS; nothing of the bodies. A request is sent at most once, and the error says whether it may have
left: a power command that left may have been carried out (S2).
"""

import asyncio
import ssl
import urllib.parse
from dataclasses import dataclass
from typing import Final

import aiohttp

from fenced.model.inventory import Via
from fenced.model.names import ProxyName
from fenced.net import handshake
from fenced.net.offer import explained
from fenced.ports.devices import DeviceError, LoginRefused, NotSupported, ProxyTimedOut, ProxyUnreachable
from fenced.proxy.protocol import ANSWER_BYTES_MAX
from fenced.proxy.via import proxy_headers, via_error

CONNECT_SECONDS_MAX: Final = 5.0
KEEPALIVE_SECONDS: Final = 15.0
"""Shorter than the proxy agent's, so the daemon closes an idle connection first."""
NOT_STARTED: Final = frozenset({400, 403, 404, 405, 408, 413, 415, 422, 503})
"""Statuses of a proxy agent that rejected the call before anything started."""
HTTPS_PORT: Final = 443
REFUSAL_SECONDS_MAX: Final = 1.0
SHOWN_MAX: Final = 200


class NoSuchRequest(DeviceError):
    """The proxy agent does not know this request: it is older."""


@dataclass(slots=True, kw_only=True)
class _Trip:
    """One request. `is_connected`: from here on it may have been sent. `is_new`: its connection was made for it."""

    proxy: ProxyName
    url: str
    timeout_seconds: float
    is_command: bool
    via: Via | None = None
    is_connected: bool = False
    is_new: bool = False

    @property
    def is_in_doubt(self) -> bool:
        return self.is_command and self.is_connected


@dataclass(slots=True, kw_only=True)
class _Session:
    """The connections made with one context. A retired session closes when its last request ends."""

    client: aiohttp.ClientSession
    requests: int = 0
    is_retired: bool = False

    async def close_when_idle(self) -> None:
        if self.is_retired and not self.requests:
            await self.client.close()


class Transport:
    """Pooled connections to many proxies, with a limit for each proxy (S15)."""

    def __init__(self, *, context: ssl.SSLContext | None, connections_per_proxy_max: int) -> None:
        self._context = context
        self._connections_per_proxy_max = connections_per_proxy_max
        self._session: _Session | None = None
        self._retired: list[_Session] = []

    async def renew(self, context: ssl.SSLContext) -> None:
        """Use this context for new connections. Running requests keep theirs."""
        self._context = context
        session, self._session = self._session, None
        self._retired = [retired for retired in self._retired if not retired.client.closed]
        if session is not None:
            session.is_retired = True
            self._retired.append(session)
            await session.close_when_idle()

    async def get(self, proxy: ProxyName, url: str, *, timeout_seconds: float, via: Via | None = None) -> bytes:
        """Return the body of a good answer. Raises DeviceError; a GET never leaves anything in doubt."""
        trip = _Trip(proxy=proxy, url=url, timeout_seconds=timeout_seconds, is_command=False, via=via)
        return await self._travel(trip, "GET", None)

    async def post(
        self,
        proxy: ProxyName,
        url: str,
        body: bytes,
        *,
        timeout_seconds: float,
        is_command: bool,
        via: Via | None = None,
    ) -> bytes:
        """Return the body of a good answer. Cancellation closes the connection, which also ends a read at the proxy.
        Raises DeviceError."""
        trip = _Trip(proxy=proxy, url=url, timeout_seconds=timeout_seconds, is_command=is_command, via=via)
        return await self._travel(trip, "POST", body)

    async def close(self) -> None:
        """Idempotent."""
        session, self._session = self._session, None
        for one in (*self._retired, *(() if session is None else (session,))):
            await one.client.close()

    async def _travel(self, trip: _Trip, method: str, body: bytes | None) -> bytes:
        end = asyncio.get_running_loop().time() + trip.timeout_seconds
        try:
            async with asyncio.timeout_at(end):
                return await self._request(trip, method, body)
        except TimeoutError as exc:
            what = "no answer" if trip.is_connected else "no connection"
            raise ProxyTimedOut(
                f"proxy {trip.proxy}: {what} within {trip.timeout_seconds:.1f} s",
                may_be_done=trip.is_in_doubt,
                is_end_known=not trip.is_in_doubt,
            ) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            refusal = await self._refusal(trip, end) if trip.is_new else await _fault(trip, exc, end)
            raise _device_error(trip, exc, refusal) from exc

    async def _refusal(self, trip: _Trip, end: float) -> str | None:
        """Return why the proxy rejected our certificate, or None if that was not why the new connection was lost.

        In TLS 1.3 a server rejects the certificate only after our handshake is complete and our request is on its way,
        and asyncio's servers just hang up. So connect once more and send nothing: a proxy that accepts us waits for a
        request.
        """
        url = urllib.parse.urlsplit(trip.url)
        # Through an HTTP proxy a second connection would not reach the agent.
        if self._context is None or url.hostname is None or trip.via is not None:
            return None
        try:
            async with asyncio.timeout_at(min(end, asyncio.get_running_loop().time() + REFUSAL_SECONDS_MAX)):
                reader, writer = await asyncio.open_connection(url.hostname, url.port or HTTPS_PORT, ssl=self._context)
                try:
                    await reader.read(1)
                except ConnectionError:
                    pass
                finally:
                    writer.transport.abort()
        except ssl.SSLError as exc:
            return str(handshake.fault(exc))
        except OSError:  # includes a timeout
            return None
        return "TLS handshake: it hangs up when it sees our certificate"

    async def _request(self, trip: _Trip, method: str, body: bytes | None) -> bytes:
        session = self._open()
        session.requests += 1
        try:
            return await self._exchange(session.client, trip, method, body)
        finally:
            session.requests -= 1
            await session.close_when_idle()

    async def _exchange(self, client: aiohttp.ClientSession, trip: _Trip, method: str, body: bytes | None) -> bytes:
        async with client.request(
            method,
            trip.url,
            data=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=min(CONNECT_SECONDS_MAX, trip.timeout_seconds)),
            trace_request_ctx=trip,
            proxy=None if trip.via is None else trip.via.url,
            proxy_headers=proxy_headers(trip.via),
        ) as response:
            answer = await _read_bounded(response)
            if answer is None:
                raise _unexpected(trip, f"more than {ANSWER_BYTES_MAX} bytes")
            if response.status != 200:
                raise _status_error(trip, response.status, answer)
            return answer

    def _open(self) -> _Session:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_create_end.append(_note_new)
            tracing.on_connection_reuseconn.append(_note_reused)
            client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._connections_per_proxy_max,
                    keepalive_timeout=KEEPALIVE_SECONDS,
                    ssl=True if self._context is None else self._context,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                trace_configs=[tracing],
            )
            self._session = _Session(client=client)
        return self._session


async def _note_new(_session: aiohttp.ClientSession, context: object, _parameters: object) -> None:
    trip = getattr(context, "trace_request_ctx", None)
    if isinstance(trip, _Trip):
        trip.is_connected = trip.is_new = True


async def _note_reused(_session: aiohttp.ClientSession, context: object, _parameters: object) -> None:
    trip = getattr(context, "trace_request_ctx", None)
    if isinstance(trip, _Trip):
        trip.is_connected = True


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None if it is longer than an answer may be; the rest is not read."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            return None
    return bytes(body)


def _device_error(trip: _Trip, exc: Exception, refusal: str | None) -> DeviceError:
    """Convert an exception. `refusal`: why TLS failed, or why the proxy rejected our certificate."""
    if trip.via is not None and isinstance(exc, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return via_error(trip.proxy, trip.via, exc)
    if refusal is not None:
        return LoginRefused(
            f"proxy {trip.proxy}: {refusal}; check that the files of [proxy_client] and the proxy's tls_cert_file and "
            "client_ca_file come from one authority, and that the proxy's certificate names this address: "
            "fenced certs show",
            may_be_done=trip.is_in_doubt,
            is_end_known=not trip.is_in_doubt,
        )
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return ProxyTimedOut(
            f"proxy {trip.proxy}: no connection in time; check the network and firewall between", may_be_done=False
        )
    if not trip.is_connected:
        return ProxyUnreachable(
            f"proxy {trip.proxy}: can't be reached ({_shown(exc)}); does fenced proxy run there?", may_be_done=False
        )
    return ProxyUnreachable(
        f"proxy {trip.proxy}: the connection was lost before an answer came ({_shown(exc)})",
        may_be_done=trip.is_in_doubt,
        is_end_known=not trip.is_in_doubt,
    )


async def _fault(trip: _Trip, exc: Exception, end: float) -> str | None:
    """Return why TLS failed, with what the other side offers; None if TLS is not what failed."""
    found = None if trip.is_connected else handshake.fault(exc)
    url = urllib.parse.urlsplit(trip.url)
    if found is None or trip.via is not None or url.hostname is None:
        return None if found is None else str(found)
    seconds = end - asyncio.get_running_loop().time()
    return str(await explained(found, url.hostname, url.port or HTTPS_PORT, seconds=seconds))


def _status_error(trip: _Trip, status: int, body: bytes) -> DeviceError:
    """Convert an answer with an error status. Only statuses sent before anything starts prove that nothing was done."""
    said = body[:SHOWN_MAX].decode("utf-8", "replace").replace("\n", " ")
    if status not in NOT_STARTED:
        return _unexpected(trip, f"HTTP {status}: {said}")
    kind = {403: LoginRefused, 404: NoSuchRequest, 422: NotSupported, 503: ProxyUnreachable}.get(status, DeviceError)
    hint = "; an agent of an earlier version can't read it: upgrade the proxy" if status == 422 else ""
    return kind(f"proxy {trip.proxy} refused the call: HTTP {status}: {said}{hint}", may_be_done=False)


def _unexpected(trip: _Trip, what: str) -> DeviceError:
    return DeviceError(
        f"proxy {trip.proxy} answered {what}; is it a fenced proxy of this version?",
        may_be_done=trip.is_in_doubt,
        is_end_known=not trip.is_in_doubt,
    )


def _shown(exc: Exception) -> str:
    return (str(exc) or type(exc).__name__)[:SHOWN_MAX]
