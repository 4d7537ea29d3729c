"""What the other side of a failed TLS handshake offers: it is asked once more, with everything that we can speak.

Knows sockets and contexts, not who speaks. One rule: the question carries no secret and no request, shows no certificate,
and nobody is believed by its answer.
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
    """What the other side took when everything was offered to it."""

    version: str
    cipher: str

    @property
    def is_common(self) -> bool:
        """Whether we take it without being told to."""
        ours = {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
        return self.version in COMMON_VERSIONS and self.cipher in ours

    def __str__(self) -> str:
        is_apart = self.version == "TLSv1.3" or self.cipher.startswith(("ECDHE-", "DHE-"))
        return f"{self.version} with {self.cipher}" + ("" if is_apart else " (RSA key exchange)")


async def explained(found: Fault, host: str, port: int, *, seconds: float = OFFER_SECONDS_MAX) -> Fault:
    """The fault with what the other side offers, where that can be known. Takes at most these seconds."""
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
    """What the other side takes of all that there is; None where that can't be known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    loosen(context)
    try:
        async with asyncio.timeout(min(seconds, OFFER_SECONDS_MAX)):
            _reader, writer = await asyncio.open_connection(host, port, ssl=context)
            spoken = writer.get_extra_info("ssl_object")
            taken = Offer(version=spoken.version() or "", cipher=(spoken.cipher() or ("",))[0])
            writer.transport.abort()
    except (OSError, ValueError):  # a timeout and a refused handshake too
        return None
    return taken
