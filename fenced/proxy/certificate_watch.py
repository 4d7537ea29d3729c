"""One end's certificate files, the TLS context made of them, and the new one when the files change.

Knows files and time; nothing of connections: who uses the context is told. One rule: files that can't be used replace
nothing; it is said loudly, once for each change, and the old context goes on.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from fenced.proxy.certificates import ends
from fenced.proxy.tls import CertificateError, TlsFiles

PERIOD_SECONDS: Final = 60.0
"""Between two looks at the files; SIGHUP looks at once."""
WARNING_SECONDS: Final = 30 * 86400.0
WARNING_PERIOD_SECONDS: Final = 86400.0

Make = Callable[[TlsFiles], ssl.SSLContext]
Apply = Callable[[ssl.SSLContext], Awaitable[None]]
Stamp = tuple[tuple[int, int, int] | None, ...]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a certificate ends (Unix time). `role`: own, or authority: the last to end of those that are trusted."""

    role: str
    file: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    files: TlsFiles
    stamp: Stamp
    context: ssl.SSLContext
    expiries: tuple[Expiry, ...]


class CertificateWatch:
    """`make`: the context of files, as server or client."""

    def __init__(self, files: TlsFiles, make: Make) -> None:
        """Raises CertificateError. A certificate that has ended is taken at a start, with a warning: better than none."""
        self._make = make
        self._loaded = _load(files, make)
        self._refused: Stamp | None = None
        self._asked = asyncio.Event()
        self._warned_at: float | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._loaded.context

    def expiry_seconds(self) -> list[tuple[str, str, float]]:
        """(role, file, seconds until it ends; negative: since)."""
        now = time.time()
        return [(expiry.role, expiry.file, expiry.until - now) for expiry in self._loaded.expiries]

    def ask(self) -> None:
        """Look at the files now."""
        self._asked.set()

    async def run(self, apply: Apply) -> None:
        """For ever: look at the files each minute and when asked; `apply` gets each new context."""
        while True:
            self._warn()
            try:
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self.renew(self._loaded.files, apply)

    async def renew(self, files: TlsFiles, apply: Apply) -> bool:
        """Take over what the files hold now, where it is new. False: they can't be used, and the old goes on."""
        stamp = await asyncio.to_thread(_stamp, files)
        if files == self._loaded.files and stamp == self._loaded.stamp:
            return True
        try:
            loaded = await asyncio.to_thread(_load, files, self._make)
            _refuse_ended(loaded)
        except CertificateError as exc:
            if stamp != self._refused:
                _log.error("certificates refused: the old ones go on", reason=str(exc))
            self._refused = stamp
            return False
        try:
            await apply(loaded.context)
        except OSError as exc:
            _log.error("certificates not taken over: tried again at the next look", reason=str(exc))
            return False
        self._loaded, self._refused, self._warned_at = loaded, None, None
        _log.info("certificates renewed", cert_file=str(files.cert_file), ca_file=str(files.ca_file))
        return True

    def _warn(self) -> None:
        """Once a day, for what ends within a month."""
        now = time.monotonic()
        if self._warned_at is not None and now - self._warned_at < WARNING_PERIOD_SECONDS:
            return
        self._warned_at = now
        for role, file, seconds in self.expiry_seconds():
            if seconds < WARNING_SECONDS:
                _log.warning("certificate expires", role=role, file=file, days=round(seconds / 86400, 1))


def _load(files: TlsFiles, make: Make) -> _Loaded:
    # The stamp first: what changes after it is found at the next look.
    stamp = _stamp(files)
    return _Loaded(files=files, stamp=stamp, context=make(files), expiries=_expiries(files))


def _stamp(files: TlsFiles) -> Stamp:
    """What changes with each new version of a file; None for one that is not there."""
    found: list[tuple[int, int, int] | None] = []
    for path in (files.ca_file, files.cert_file, files.key_file):
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(found)


def _expiries(files: TlsFiles) -> tuple[Expiry, ...]:
    """Only what can be read: what OpenSSL takes and this can't date is no reason not to start."""
    found: list[Expiry] = []
    for role, path in (("own", files.cert_file), ("authority", files.ca_file)):
        try:
            dates = ends(path)
        except CertificateError as exc:
            _log.warning("certificate can't be dated", role=role, reason=str(exc))
            continue
        # A chain begins with our own; of several authorities the old one may end while the new one goes on.
        until = dates[0] if role == "own" else max(dates)
        found.append(Expiry(role=role, file=str(path), until=until.timestamp()))
    return tuple(found)


def _refuse_ended(loaded: _Loaded) -> None:
    for expiry in loaded.expiries:
        if expiry.until <= time.time():
            raise CertificateError(f"{expiry.file}: the certificate has ended already")
