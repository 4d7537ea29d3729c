"""Finds what the other side of a failed TLS handshake offers: it connects once more, and offers everything possible.

It knows sockets and contexts, not who speaks. The connection carries no secret and no request and shows no certificate,
and its result grants no trust.
"""

import asyncio
import ssl
from dataclasses import dataclass, replace
from typing import Final

from fenced.net.handshake import NEGOTIATED, Cause, Fault, loosen

OFFER_SECONDS_MAX: Final = 2.0
COMMON_VERSIONS: Final = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the other side chose when everything was offered."""

    version: str
    cipher: str

    @property
    def is_common(self) -> bool:
        """Whether a default context accepts it."""
        ours = {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
        return self.version in COMMON_VERSIONS and self.cipher in ours

    def __str__(self) -> str:
        is_apart = self.version == "TLSv1.3" or self.cipher.startswith(("ECDHE-", "DHE-"))
        return f"{self.version} with {self.cipher}" + ("" if is_apart else " (RSA key exchange)")


async def explained(found: Fault, host: str, port: int, *, seconds: float = OFFER_SECONDS_MAX) -> Fault:
    """Return the fault, with what the other side offers if that can be found within `seconds`."""
    if found.cause not in NEGOTIATED:
        return found
    offered = await offer(host, port, seconds=seconds)
    if offered is None:
        return found
    cause = found.cause
    if cause is Cause.HUNG_UP and not offered.is_common:
        cause = Cause.CIPHER if offered.version in COMMON_VERSIONS else Cause.VERSION
    return replace(
        found, cause=cause, text=cause.value, why="; ".join(filter(None, (found.why, f"it offers {offered}")))
    )


async def offer(host: str, port: int, *, seconds: float = OFFER_SECONDS_MAX) -> Offer | None:
    """Return what the other side chooses of everything; None if that can't be found."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    loosen(context)
    try:
        async with asyncio.timeout(min(seconds, OFFER_SECONDS_MAX)):
            _reader, writer = await asyncio.open_connection(host, port, ssl=context)
            spoken = writer.get_extra_info("ssl_object")
            chosen = Offer(version=spoken.version() or "", cipher=(spoken.cipher() or ("",))[0])
            writer.transport.abort()
    except (OSError, ValueError):  # includes a timeout and a refused handshake
        return None
    return chosen
