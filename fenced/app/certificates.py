"""Until when each certificate that the daemon can know is valid: for a metric, for warnings, and for reloads.

The daemon's own files are read again each minute. The certificates of the broker and the proxies are seen in a
handshake every six hours. The manifest of `fenced setup` says what it gave to hosts and other clients. Nothing here
decides about hosts.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import structlog

from fenced.bus.errors import Unreachable
from fenced.bus.settings import BusSettings
from fenced.bus.tls import tls_context
from fenced.config.configuration import Configuration
from fenced.config.files import UnusableFile, read_text
from fenced.net.validity import server_until
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.certificates import ends
from fenced.proxy.tls import CertificateError

log = structlog.get_logger("fenced")

MANIFEST: Final = "setup.json"
"""Beside the daemon's file. `fenced setup` writes it; the group of the daemon may read it."""
MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
OWN, AUTHORITY, BROKER, PROXY, GIVEN = "own", "authority", "broker", "proxy", "given"
DAY_SECONDS: Final = 86400.0
WARNING_SECONDS: Final = 30 * DAY_SECONDS
LOOK_SECONDS: Final = 60.0
HANDSHAKE_PERIOD_SECONDS: Final = 6 * 3600.0
HANDSHAKE_SECONDS: Final = 5.0
SHOWN_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A certificate and its end (Unix time). `what`: its file, or whose it is."""

    role: str
    what: str
    until: float


class Remote(Protocol):
    """What speaks to the proxies, with certificates of its own."""

    @property
    def certificates(self) -> CertificateWatch | None: ...

    def expiry_seconds(self) -> list[tuple[str, str, float]]: ...


class Certificates:
    """`now`: the wall clock, because certificates are dated by it."""

    def __init__(
        self,
        configuration: Configuration,
        remote: Remote,
        bus: BusSettings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._configuration, self._remote, self._bus, self._now = configuration, remote, bus, now
        self._own: dict[str, Ending] = {}
        self._valid: dict[str, float] = {}
        """Key of the configuration -> end of the newest certificate that was still valid when it was read."""
        self._seen: dict[tuple[str, str], Ending] = {}
        self._given: tuple[Ending, ...] = ()
        self._stamp: tuple[int, int] | None = None
        self._warned_at = float("-inf")
        self._read()

    # -- what is shown ------------------------------------------------------------------------------------------------

    def gauges(self) -> list[tuple[str, str, float]]:
        """Return (role, file or name, seconds left) for each. Of what was given to hosts only the first to end: no
        metric names a host."""
        now = self._now()
        named = [*self._own.values(), *self._seen.values()]
        if self._given:
            named.append(Ending(role=GIVEN, what=str(self._manifest), until=self._given[0].until))
        left = {(each.role, each.what): each.until - now for each in named}
        left |= {
            (role, file): seconds for role, file, seconds in self._remote.expiry_seconds()
        }  # those that are loaded
        return [(role, what, seconds) for (role, what), seconds in left.items()]

    def remark(self) -> str:
        """Return a line about certificates that end soon, or ""."""
        now = self._now()
        soon = self._soon(now)
        if not soon:
            return ""
        shown = "; ".join(_left(each, now) for each in soon[:SHOWN_MAX])
        more = f"; and {len(soon) - SHOWN_MAX} more" if len(soon) > SHOWN_MAX else ""
        return f"certificates end soon: {shown}{more}"

    # -- a reload -----------------------------------------------------------------------------------------------------

    def judged(self, new: Configuration) -> tuple[str, tuple[str, ...]]:
        """Return why a reload must be refused, or "", and warnings. Reads files.

        Refuse a certificate that has expired where the one in use has not: every later connection would fail.
        """
        now = self._now()
        refused, warnings = "", []
        for key, ending in _own(new):
            if ending.until > now:
                continue
            text = f"{key}: the certificate in {ending.what} expired on {_day(ending.until)}"
            if self._valid.get(key, float("-inf")) > now and not refused:
                refused = (
                    f"{text}, and the one in use is valid until {_day(self._valid[key])}: put a valid certificate "
                    "there (fenced setup, or fenced certs renew)"
                )
            else:
                warnings.append(f"{text}: renew it (fenced setup, or fenced certs renew)")
        return refused, tuple(warnings)

    def use(self, new: Configuration) -> None:
        """Use the files of an accepted configuration."""
        self._configuration = new
        self._own, self._valid = {}, {}
        names = {str(name) for name in new.inventory.proxies}
        self._seen = {key: each for key, each in self._seen.items() if each.role != PROXY or each.what in names}
        self._read()

    # -- running ------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look again and again; run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_files(), name="certificate files")
            group.create_task(self._watch_servers(), name="certificates of servers")

    async def _watch_files(self) -> None:
        while True:
            await asyncio.to_thread(self._read)
            self._warn()
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch_servers(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(HANDSHAKE_PERIOD_SECONDS)

    async def look(self) -> None:
        """See the certificates of the broker and of each proxy that is reached directly. A failure changes nothing."""
        if self._bus.is_tls:
            try:
                context = await asyncio.to_thread(tls_context, self._bus)
            except Unreachable:  # the connection to the broker reports it
                pass
            else:
                until = await server_until(self._bus.host, self._bus.port, context, timeout_seconds=HANDSHAKE_SECONDS)
                self._note(BROKER, f"{self._bus.host}:{self._bus.port}", until)
        for proxy in list(self._configuration.inventory.proxies.values()):
            url = urlsplit(proxy.url)
            watched = self._remote.certificates
            if watched is None or url.scheme != "https" or url.hostname is None or proxy.via is not None:
                continue
            until = await server_until(
                url.hostname, url.port or 443, watched.context, timeout_seconds=HANDSHAKE_SECONDS
            )
            self._note(PROXY, str(proxy.name), until)

    def _note(self, role: str, what: str, until: float | None) -> None:
        if until is not None:
            self._seen[role, what] = Ending(role=role, what=what, until=until)

    @property
    def _manifest(self) -> Path:
        return Path(self._configuration.file).parent / MANIFEST

    def _read(self) -> None:
        now = self._now()
        own = dict(_own(self._configuration))
        for key, ending in own.items():
            if ending.until > now or self._valid.get(key, float("-inf")) <= now:
                self._valid[key] = ending.until
        self._own = own
        self._read_manifest()

    def _read_manifest(self) -> None:
        try:
            status = self._manifest.stat()
        except OSError:
            self._stamp, self._given = None, ()
            return
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            self._stamp, self._given = stamp, _given(self._manifest)

    def _soon(self, now: float) -> list[Ending]:
        """Return what ends soon, the first to end first. What a handshake showed counts before what setup gave away."""
        seen = {f"proxy {each.what}" for each in self._seen.values() if each.role == PROXY}
        given = takewhile(lambda each: each.until - now < WARNING_SECONDS, self._given)
        files = {each.what: each for each in self._own.values()}
        every = [*files.values(), *self._seen.values(), *(each for each in given if each.what not in seen)]
        return sorted((each for each in every if each.until - now < WARNING_SECONDS), key=lambda each: each.until)

    def _warn(self) -> None:
        """Log once a day what ends soon. The certificates for the proxies are logged where they are loaded."""
        now = self._now()
        if now - self._warned_at < DAY_SECONDS:
            return
        self._warned_at = now
        logged = {file for _, file, _ in self._remote.expiry_seconds()}
        for each in self._soon(now):
            if each.what not in logged:
                days = round((each.until - now) / DAY_SECONDS, 1)
                log.warning("certificate_expires", role=each.role, file=each.what, days=days)


def _own(configuration: Configuration) -> Iterator[tuple[str, Ending]]:
    """Yield the daemon's certificates by their key. What can't be read or dated is reported by those that use it."""
    bus, client, api = configuration.bus, configuration.proxy_client, configuration.api
    tls = bus.tls if bus.scheme == "mqtts" else None
    for key, role, path in (
        ("bus.cert_file", OWN, tls.cert_file if tls else None),
        ("bus.ca_file", AUTHORITY, tls.ca_file if tls else None),
        ("proxy_client.cert_file", OWN, client.cert_file),
        ("proxy_client.ca_file", AUTHORITY, client.ca_file),
        ("api.tls_cert_file", OWN, api.tls_cert_file),
    ):
        if path is None:
            continue
        try:
            dates = ends(path)
        except (CertificateError, ValueError):  # ValueError: a date that Python does not know
            continue
        # A chain begins with the daemon's certificate. Of several authorities an old one may end before a new one.
        until = dates[0] if role == OWN else max(dates)
        yield key, Ending(role=role, what=str(path), until=until.timestamp())


def _given(manifest: Path) -> tuple[Ending, ...]:
    """Return the certificates in archives of `fenced setup`, the first to end first. While a new archive waits to be
    copied, its machine has the old certificate."""
    try:
        raw = json.loads(read_text(manifest, bytes_max=MANIFEST_BYTES_MAX)[0])
        given = {**raw.get("given", {}), **raw.get("waiting", {})}
        found = (
            Ending(role=GIVEN, what=str(whose), until=datetime.fromisoformat(until).timestamp())
            for whose, until in given.items()
        )
        return tuple(sorted(found, key=lambda each: each.until))
    except (UnusableFile, ValueError, TypeError, AttributeError, RecursionError):
        return ()


def _left(ending: Ending, now: float) -> str:
    days = int((ending.until - now) // DAY_SECONDS)
    when = f"in {days} days" if ending.until > now else f"expired on {_day(ending.until)}"
    named: Mapping[str, str] = {BROKER: "broker ", PROXY: "proxy "}
    return f"{named.get(ending.role, '')}{ending.what} {when}"


def _day(until: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(until))
