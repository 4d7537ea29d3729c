"""What a running proxy agent takes over without a restart: certificates, who may call, stored credentials, what is lent.

Knows the agent's parts; nothing of files but certificates. One rule: all of a change or nothing of it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from fenced.model.credentials import StoredCredential
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.credentials import Credentials
from fenced.proxy.lending import Lending, Loans
from fenced.proxy.listener import Listener
from fenced.proxy.server import ProxyServer
from fenced.proxy.tls import TlsFiles

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the file says now."""

    allow: frozenset[str]
    credentials: Mapping[str, StoredCredential]
    tls: TlsFiles | None
    ended: Callable[[str], None]
    """To be called with why it was refused; "": it is in force."""
    loans: Loans = field(default_factory=Loans)


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
        certificates: CertificateWatch | None,
    ) -> None:
        self._server, self._listener = server, listener
        self._credentials, self._lending, self._certificates = credentials, lending, certificates

    async def run(self, changes: Changes) -> None:
        """For ever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            if self._certificates is not None:
                group.create_task(self._certificates.run(self._accept), name="certificates")
            async for change in changes:
                await self._take(change)

    async def _take(self, change: Change) -> None:
        if self._certificates is not None and change.tls is not None:
            is_good = await self._certificates.renew(change.tls, self._accept)
            if not is_good:
                change.ended("the certificates can't be used; everything stays as it was")
                return
        self._server.use(allow=change.allow)
        self._credentials.use(change.credentials)
        self._lending.use(change.loans)
        _log.info("reloaded", allow=sorted(change.allow), credentials=sorted(change.credentials))
        change.ended("")

    async def _accept(self, context: ssl.SSLContext) -> None:
        """The listener first: a connection of the old context that comes in between is closed after its answer."""
        self._listener.use(context)
        self._server.context = context
