"""HTTP as a BMC's Redfish service needs it: verified TLS, bounded answers, no foreign redirects (DSP0266).

Knows addresses, credentials and status codes, not what a system or a power state is. One rule: a request that may have
reached the BMC is never sent twice by us, and its failure says so.
"""

import asyncio
import base64
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yarl

from fenced.drivers.output import Mask, Output
from fenced.model.inventory import DeviceSpec
from fenced.ports.devices import BadParameters, DeviceError, DeviceUnreachable, LoginRefused

BODY_BYTES_MAX: Final = 1024 * 1024
REDIRECTS_MAX: Final = 3
CONNECTIONS_PER_BMC_MAX: Final = 4
IDLE_SECONDS: Final = 15.0
SSL_CONTEXTS_MAX: Final = 64
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SAME_METHOD_REDIRECTS: Final = frozenset({307, 308})
TLS_OPTIONS: Final = frozenset({"insecure", "ca_file", "fingerprint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One BMC as a device names it. The header holds the credentials and is shown nowhere."""

    base: yarl.URL
    headers: Mapping[str, str]
    tls: "ssl.SSLContext | aiohttp.Fingerprint | bool"
    mask: Mask

    def __repr__(self) -> str:
        return f"Target({self.base})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and what the body says: its JSON object, or {} where it is something else."""

    status: int
    body: Mapping[str, Any]
    retry_after: str | None = None
    text: str = ""


class Transport:
    """One HTTP client for all BMCs; keeps few connections to each and closes them soon."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[tuple[str, int], ssl.SSLContext] = {}

    async def target(self, spec: DeviceSpec) -> Target:
        """Address, credentials and trust of a device. Raises BadParameters."""
        base = base_url(spec.address)
        password = spec.password.reveal() if spec.password is not None else ""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "OData-Version": "4.0"}
        if spec.username or password:
            headers["Authorization"] = basic_auth(spec.username, password)
        mask = Mask([password], username=spec.username)
        return Target(base=base, headers=headers, tls=await self._trust(spec, base), mask=mask)

    async def get(self, target: Target, path: str) -> Answer:
        """Read a resource, following redirects inside the BMC. Raises DeviceError."""
        url = inside(target, path)
        for _ in range(REDIRECTS_MAX):
            answer, location = await self._request(target, "GET", url, None)
            if location is None:
                return answer
            url = inside(target, str(url.join(yarl.URL(location, encoded=True))))
        raise DeviceError(f"{target.base} redirects in a circle", may_be_done=False)

    async def post(self, target: Target, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a command once; a redirect is followed only where it repeats nothing (307, 308). Raises DeviceError."""
        url = inside(target, path)
        answer, location = await self._request(target, "POST", url, body)
        if location is None:
            return answer
        if answer.status not in SAME_METHOD_REDIRECTS:
            raise DeviceError(f"{target.base} answered a command with a redirect ({answer.status})")
        answer, location = await self._request(
            target, "POST", inside(target, str(url.join(yarl.URL(location, encoded=True)))), body
        )
        if location is not None:
            raise DeviceError(f"{target.base} redirects a command more than once")
        return answer

    async def close(self) -> None:
        """End all connections; idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self, target: Target, method: str, url: yarl.URL, body: Mapping[str, Any] | None
    ) -> tuple[Answer, str | None]:
        """One exchange: its answer, and where it redirects to. What aiohttp raises ends here."""
        session = self._open()
        is_command = method == "POST"
        try:
            async with session.request(
                method, url, json=body, headers=target.headers, ssl=target.tls, allow_redirects=False
            ) as response:
                location = response.headers.get("Location") if response.status in REDIRECTS else None
                return await _answer(response), location
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch) as exc:
            raise LoginRefused(
                f"{target.base}: its certificate is not trusted ({_tls_reason(exc)}); set ca_file or fingerprint",
                may_be_done=False,
            ) from exc
        except aiohttp.ClientConnectorError as exc:
            raise DeviceUnreachable(f"{target.base}: no connection ({_reason(exc)})", may_be_done=False) from exc
        except (aiohttp.ClientError, OSError) as exc:
            if isinstance(exc, TimeoutError):
                raise
            raise DeviceUnreachable(
                f"{target.base}: the connection broke ({_reason(exc)})",
                may_be_done=is_command,
                is_end_known=not is_command,
            ) from exc
        except ValueError as exc:
            raise DeviceError(
                f"{target.base}: not understood ({_reason(exc)})", may_be_done=is_command, is_end_known=not is_command
            ) from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0, limit_per_host=CONNECTIONS_PER_BMC_MAX, keepalive_timeout=IDLE_SECONDS
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # the caller's deadline holds for the whole call
                auto_decompress=False,
            )
        return self._session

    async def _trust(self, spec: DeviceSpec, base: yarl.URL) -> "ssl.SSLContext | aiohttp.Fingerprint | bool":
        """Whom we believe to be this BMC: public authorities by default."""
        given = [name for name in TLS_OPTIONS if spec.options.get(name)]
        if len(given) > 1:
            raise bad(f"{' and '.join(sorted(given))} contradict each other; keep one")
        if given and base.scheme == "http":
            raise bad(f"`{given[0]}` means nothing for http://; use https:// or remove it")
        if spec.options.get("insecure"):
            return False
        if fingerprint := spec.options.get("fingerprint"):
            return aiohttp.Fingerprint(fingerprint_bytes(str(fingerprint)))
        if ca_file := spec.options.get("ca_file"):
            return await asyncio.to_thread(self._context, str(ca_file))
        return True

    def _context(self, ca_file: str) -> ssl.SSLContext:
        """Trusts the authorities of one file and no others; read again when the file changes."""
        try:
            key = (ca_file, Path(ca_file).stat().st_mtime_ns)
            if key not in self._contexts:
                if len(self._contexts) >= SSL_CONTEXTS_MAX:
                    self._contexts.clear()
                self._contexts[key] = ssl.create_default_context(cafile=ca_file)
            return self._contexts[key]
        except (OSError, ssl.SSLError) as exc:
            raise bad(f"ca_file {ca_file} can't be read as certificates: {exc}") from exc


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    """Raises DeviceError for a body beyond the bound. One that is no JSON object matters where one is needed."""
    content = bytearray()
    async for piece in response.content.iter_chunked(64 * 1024):
        content += piece
        if len(content) > BODY_BYTES_MAX:
            raise DeviceError(
                f"{response.url.origin()} sent more than {BODY_BYTES_MAX} bytes", may_be_done=response.method == "POST"
            )
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    is_object = isinstance(body, dict)
    return Answer(
        status=response.status,
        body=body if is_object else {},
        retry_after=response.headers.get("Retry-After"),
        text="" if is_object else content[:200].decode("utf-8", errors="replace"),
    )


def base_url(address: str) -> yarl.URL:
    """`https://HOST[:PORT]`, from that or from a bare host. Raises BadParameters."""
    text = address if "://" in address else f"https://{address}"
    try:
        url = yarl.URL(text)
    except ValueError as exc:
        raise bad("its address can't be read as a URL") from exc
    if url.user or url.password:
        raise bad("its address holds a user or password; use username and password_file")
    if url.scheme not in ("https", "http") or not url.host or url.query_string or url.fragment:
        raise bad(f"address {address!r} is not https://HOST[:PORT]")
    return url.origin()


def inside(target: Target, path: str) -> yarl.URL:
    """A resource of this BMC by path or URL; credentials go nowhere else. Raises DeviceError."""
    try:
        url = target.base.join(yarl.URL(path, encoded=True))
    except ValueError as exc:
        raise DeviceError(f"{target.base} names a resource that can't be read as a URL", may_be_done=False) from exc
    if not url.absolute or url.origin() != target.base:
        raise DeviceError(f"{target.base} points to another place; not followed", may_be_done=False)
    return url


def basic_auth(username: str, password: str) -> str:
    """RFC 7617, UTF-8. Raises BadParameters."""
    if ":" in username:
        raise bad("a user name with a colon can't be sent")
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def fingerprint_bytes(text: str) -> bytes:
    """SHA-256 in hexadecimal, with or without colons. Raises BadParameters."""
    digits = text.removeprefix("sha256:").replace(":", "").strip()
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise bad("`fingerprint` is not a SHA-256 in hexadecimal")
    return digest


def segment(text: str) -> str:
    """Text as one part of a path."""
    return urllib.parse.quote(text, safe="")


def bad(why: str) -> BadParameters:
    return BadParameters(f"redfish: {why}", may_be_done=False)


def told(target: Target, answer: Answer) -> str:
    """What the BMC says of its refusal (DSP0266, error responses), bounded and without secrets."""
    error = answer.body.get("error")
    text = answer.text
    if isinstance(error, dict):
        details = error.get("@Message.ExtendedInfo")
        first = details[0] if isinstance(details, list) and details else None
        text = str((first.get("Message") if isinstance(first, dict) else None) or error.get("message") or "")
    said = target.mask.last_lines(Output(head=text[:1000].encode()))
    wait = f"; it asks to wait {answer.retry_after[:40]} s" if answer.retry_after else ""
    return f"{wait}: {said}" if said else wait


def _reason(exc: BaseException) -> str:
    cause = exc.__cause__ or exc.__context__
    text = str(exc) or (str(cause) if cause else "") or type(exc).__name__
    return text[:200]


def _tls_reason(exc: aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch) -> str:
    if isinstance(exc, aiohttp.ServerFingerprintMismatch):
        return f"its fingerprint is {exc.got.hex()}"
    return str(exc.certificate_error)[:200]
