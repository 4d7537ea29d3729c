"""The address of a BMC, its credentials, and the certificate to trust, parsed from a device.

It handles URLs, certificates and options; `transport` speaks HTTP. Every request stays within the BMC's own origin.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import yarl

from fenced.drivers.redfish.tls import Asked, context_for
from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.text import Mask
from fenced.net.given_files import is_readable
from fenced.ports.devices import BadParameters, DeviceError

SSL_CONTEXTS_MAX: Final = 64
TLS_OPTIONS: Final = ("ca_file", "fingerprint", "insecure")
BASIC, SESSION = "basic", "session"
SHOWN_CHARACTERS_MAX: Final = 300
PATH_CHARACTERS_SHOWN_MAX: Final = 120
HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "OData-Version": "4.0"}

Trust = ssl.SSLContext | aiohttp.Fingerprint | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go, and as which user. `is_session`: log in once for a token instead of sending the password.

    `is_legacy`: allow old TLS versions.
    """

    base: yarl.URL
    username: str
    password: Secret
    tls: Trust = field(repr=False)
    mask: Mask = field(repr=False)
    is_session: bool = False
    is_legacy: bool = False

    def shown(self, text: str, *, characters_max: int = SHOWN_CHARACTERS_MAX) -> str:
        """Return a BMC's text for an error: one printable line, bounded, without secrets."""
        return self.mask.line(text, characters_max=characters_max)

    def at(self, path: str) -> str:
        """Return a resource's URL for an error."""
        return f"{self.base}{self.shown(path, characters_max=PATH_CHARACTERS_SHOWN_MAX)}"

    @property
    def basic_headers(self) -> Mapping[str, str]:
        """Headers with user and password; without both, plain headers."""
        password = self.password.reveal()
        if not (self.username or password):
            return HEADERS
        token = base64.b64encode(f"{self.username}:{password}".encode()).decode("ascii")
        return {**HEADERS, "Authorization": f"Basic {token}"}

    @property
    def login(self) -> tuple[yarl.URL, str, Secret]:
        """The key of a session. TLS trust is not part of it, because each connection is checked by itself."""
        return self.base, self.username, self.password


class Targets:
    """Makes targets of devices; caches certificate files."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[Asked, int], ssl.SSLContext] = {}

    async def target(self, spec: DeviceSpec) -> Target:
        """Parse a device. Raises BadParameters."""
        base = base_url(spec.address)
        if ":" in spec.username:
            raise bad("HTTP can't carry a user name with a colon; use another user")
        way = str(spec.options.get("auth") or BASIC)
        if way not in (BASIC, SESSION):
            raise bad(f"auth = {way!r} is neither {BASIC} nor {SESSION}")
        return Target(
            base=base,
            username=spec.username,
            password=spec.password or Secret(""),
            tls=await self._trust(spec, base),
            mask=Mask(spec.all_secrets, username=spec.username),
            is_session=way == SESSION,
            is_legacy=spec.tls is Tls.LEGACY,
        )

    async def _trust(self, spec: DeviceSpec, base: yarl.URL) -> Trust:
        """Return the certificates to trust: public authorities by default."""
        given = [name for name in TLS_OPTIONS if spec.options.get(name)]
        if len(given) > 1:
            raise bad(f"{' and '.join(given)} contradict each other; keep one")
        if given and base.scheme == "http":
            raise bad(f"`{given[0]}` has no effect with http://; use https:// or remove it")
        fingerprint = str(spec.options.get("fingerprint") or "")
        digest = fingerprint_bytes(fingerprint) if fingerprint else b""
        is_any_believed = bool(spec.options.get("insecure"))
        ca_file = str(spec.options.get("ca_file") or "")
        if spec.tls is Tls.LEGACY and base.scheme == "https":
            asked = Asked(ca_file=ca_file, digest=digest, is_any_believed=is_any_believed, is_legacy=True)
        elif is_any_believed:
            return False
        elif digest:
            return aiohttp.Fingerprint(digest)
        elif ca_file:
            asked = Asked(ca_file=ca_file)
        else:
            return True
        return await asyncio.to_thread(self._context, asked)

    def _context(self, asked: Asked) -> ssl.SSLContext:
        """Return one context for all devices with the same settings; read a file again when it changes."""
        try:
            if asked.ca_file and not is_readable(asked.ca_file):
                raise bad(
                    f"ca_file {asked.ca_file} can't be read as certificates: not a readable file of at most 1 MiB"
                )
            key = asked, Path(asked.ca_file).stat().st_mtime_ns if asked.ca_file else 0
            if key not in self._contexts:
                if len(self._contexts) >= SSL_CONTEXTS_MAX:
                    self._contexts.clear()
                self._contexts[key] = context_for(asked)
            return self._contexts[key]
        except (OSError, ssl.SSLError) as exc:
            raise bad(f"ca_file {asked.ca_file} can't be read as certificates: {exc}") from exc


def base_url(address: str) -> yarl.URL:
    """Return `https://HOST[:PORT]`, also for a bare host. Raises BadParameters."""
    text = address if "://" in address else f"https://{address}"
    try:
        url = yarl.URL(text)
    except ValueError as exc:
        raise bad("its address can't be read as a URL") from exc
    if url.user or url.password:
        raise bad("its address contains a user or password; use username and password_file")
    if url.scheme not in ("https", "http") or not url.host or url.query_string or url.fragment:
        raise bad(f"address {address!r} is not https://HOST[:PORT]")
    return url.origin()


def inside(target: Target, path: str, *, seen_from: yarl.URL | None = None) -> yarl.URL:
    """Return the URL of a resource of this BMC, by path or URL; credentials go nowhere else. Raises DeviceError.

    Only the path of a URL counts. BMCs write links with the name or address that they think they have, which often
    differs from the device's address (DSP0266 demands paths).
    """
    try:
        url = (seen_from or target.base).join(yarl.URL(path, encoded=True))
        is_web = url.absolute and url.scheme in ("https", "http")
        if is_web:
            url = target.base.join(url.relative())
    except ValueError as exc:
        raise DeviceError(f"{target.base} sent a link that is not a valid URL", may_be_done=False) from exc
    if not is_web:
        raise DeviceError(f"{target.base} sent a link outside of HTTP; not followed", may_be_done=False)
    return url


def redirected(target: Target, location: str, *, seen_from: yarl.URL) -> yarl.URL:
    """Return a redirect's target in this BMC. Raises DeviceError if it leads to the same path on another host."""
    url = inside(target, location, seen_from=seen_from)
    if url == seen_from and yarl.URL(location, encoded=True).absolute:
        shown = target.shown(location, characters_max=PATH_CHARACTERS_SHOWN_MAX)
        raise DeviceError(
            f"{target.base} redirects to {shown}; if that is its address, configure the device with it",
            may_be_done=False,
        )
    return url


def fingerprint_bytes(text: str) -> bytes:
    """Parse a SHA-256 in hexadecimal, with or without colons. Raises BadParameters."""
    digits = text.removeprefix("sha256:").replace(":", "").strip()
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise bad("`fingerprint` is not a SHA-256 in hexadecimal")
    return digest


def bad(why: str) -> BadParameters:
    return BadParameters(f"redfish: {why}", may_be_done=False)
