"""Loads one end's certificate files into a TLS context, and makes a new context when the files change.

Watches files; a callback applies the new context to connections. Files that can't be used replace nothing: the fault is
logged once for each change, and the old context stays in use.
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
"""Between two checks of the files. SIGHUP checks at once."""
WARNING_SECONDS: Final = 30 * 86400.0
WARNING_PERIOD_SECONDS: Final = 86400.0

Make = Callable[[TlsFiles], ssl.SSLContext]
Apply = Callable[[ssl.SSLContext], Awaitable[None]]
Stamp = tuple[tuple[int, int, int] | None, ...]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a certificate expires (Unix time). `role`: `own`, or `authority`: the last of the trusted ones to expire."""

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
    """`make` builds a server or client context from files."""

    def __init__(self, files: TlsFiles, make: Make) -> None:
        """Raises CertificateError. At the start an expired certificate is accepted with a warning: better than none."""
        self._make = make
        self._loaded = _load(files, make)
        self._refused: Stamp | None = None
        self._asked = asyncio.Event()
        self._warned_at: float | None = None

    @property
    def context(self) -> ssl.SSLContext:
        return self._loaded.context

    def expiry_seconds(self) -> list[tuple[str, str, float]]:
        """Return (role, file, seconds until it expires; negative if it has expired)."""
        now = time.time()
        return [(expiry.role, expiry.file, expiry.until - now) for expiry in self._loaded.expiries]

    def ask(self) -> None:
        """Check the files now."""
        self._asked.set()

    async def run(self, apply: Apply) -> None:
        """Check the files each minute and after `ask`, for ever. Each new context is passed to `apply`."""
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
        """Load the files if they changed. Return False if they can't be used; the old context stays."""
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
            _log.error("certificates not applied: the next check tries again", reason=str(exc))
            return False
        self._loaded, self._refused, self._warned_at = loaded, None, None
        _log.info("certificates renewed", cert_file=str(files.cert_file), ca_file=str(files.ca_file))
        return True

    def _warn(self) -> None:
        """Warn once a day of certificates that expire within 30 days."""
        now = time.monotonic()
        if self._warned_at is not None and now - self._warned_at < WARNING_PERIOD_SECONDS:
            return
        self._warned_at = now
        for role, file, seconds in self.expiry_seconds():
            if seconds < WARNING_SECONDS:
                _log.warning("certificate expires", role=role, file=file, days=round(seconds / 86400, 1))


def _load(files: TlsFiles, make: Make) -> _Loaded:
    # Take the stamp first: the next check then finds any later change.
    stamp = _stamp(files)
    return _Loaded(files=files, stamp=stamp, context=make(files), expiries=_expiries(files))


def _stamp(files: TlsFiles) -> Stamp:
    """Return values that change with each new version of a file; None for a missing file."""
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
    """Return what can be dated.

    A certificate that OpenSSL accepts must not prevent the start because this code can't.
    """
    found: list[Expiry] = []
    for role, path in (("own", files.cert_file), ("authority", files.ca_file)):
        try:
            dates = ends(path)
        except CertificateError as exc:
            _log.warning("certificate can't be dated", role=role, reason=str(exc))
            continue
        # A chain begins with our certificate. Of several authorities an old one may expire while a new one is in use.
        until = dates[0] if role == "own" else max(dates)
        found.append(Expiry(role=role, file=str(path), until=until.timestamp()))
    return tuple(found)


def _refuse_ended(loaded: _Loaded) -> None:
    for expiry in loaded.expiries:
        if expiry.until <= time.time():
            raise CertificateError(
                f"{expiry.file}: the certificate has expired; make a new one with: fenced certs renew"
            )
