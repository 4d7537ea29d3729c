"""Applies a new configuration to a running proxy agent: certificates, callers, stored credentials, loans, looks.

A change takes effect as a whole or not at all.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from fenced.model.credentials import StoredCredential
from fenced.model.look_rules import LookRules
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.credentials import Credentials
from fenced.proxy.lending import Lending, Loans
from fenced.proxy.listener import Listener
from fenced.proxy.looks import Looks
from fenced.proxy.server import ProxyServer
from fenced.proxy.tls import TlsFiles

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A configuration that was read again."""

    allow: frozenset[str]
    credentials: Mapping[str, StoredCredential]
    tls: TlsFiles | None
    ended: Callable[[str], None]
    """Call it with the reason for which the change was rejected, or with "" once it is in effect."""
    loans: Loans = field(default_factory=Loans)
    look: LookRules | None = None


Changes = AsyncIterator[Change]


class Renewal:
    """`certificates` None: plain HTTP on loopback."""

    def __init__(
        self,
        *,
        server: ProxyServer,
        listener: Listener,
        credentials: Credentials,
        lending: Lending,
        looks: Looks,
        certificates: CertificateWatch | None,
    ) -> None:
        self._server, self._listener = server, listener
        self._credentials, self._lending, self._looks = credentials, lending, looks
        self._certificates = certificates

    async def run(self, changes: Changes) -> None:
        """Apply changes for ever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            if self._certificates is not None:
                group.create_task(self._certificates.run(self._accept), name="certificates")
            async for change in changes:
                await self._take(change)

    async def _take(self, change: Change) -> None:
        if self._certificates is not None and change.tls is not None:
            is_good = await self._certificates.renew(change.tls, self._accept)
            if not is_good:
                change.ended("the certificates can't be used (see the log); the old configuration stays in effect")
                return
        self._server.use(allow=change.allow)
        self._credentials.use(change.credentials)
        self._lending.use(change.loans)
        self._looks.use(change.look)
        _log.info("reloaded", allow=sorted(change.allow), credentials=sorted(change.credentials))
        change.ended("")

    async def _accept(self, context: ssl.SSLContext) -> None:
        """Update the listener first: a connection accepted in between with the old context closes after its answer."""
        self._listener.use(context)
        self._server.context = context
