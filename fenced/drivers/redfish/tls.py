"""Makes TLS contexts for BMCs: which certificates to trust, and which TLS versions to allow.

A pinned certificate is compared during the handshake, before any data is sent.
"""

import hashlib
import ssl
from dataclasses import dataclass

from fenced.net.handshake import loosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A device's TLS settings.

    At most one of `ca_file`, `digest` (SHA-256 of the certificate) and `is_any_believed`; none: trust public
    authorities.
    """

    ca_file: str = ""
    digest: bytes = b""
    is_any_believed: bool = False
    is_legacy: bool = False


class Pinned(ssl.SSLContext):
    """Trusts one certificate. aiohttp can pin one, too, but not together with a context."""

    digest = b""


class _Compared(ssl.SSLObject):
    """The SSLObject of a Pinned context."""

    def do_handshake(self) -> None:
        super().do_handshake()
        assert isinstance(self.context, Pinned)
        found = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
        if found != self.context.digest:
            refused = ssl.SSLCertVerificationError(1, "another certificate")
            refused.verify_code = 0
            refused.verify_message = f"its fingerprint is {found.hex()}"
            raise refused


def context_for(asked: Asked) -> ssl.SSLContext:
    """Make a context. Raises OSError for an unreadable file, ssl.SSLError for one without certificates."""
    if asked.digest:
        context: ssl.SSLContext = Pinned(ssl.PROTOCOL_TLS_CLIENT)
        context.digest = asked.digest  # type: ignore[attr-defined]
        context.sslobject_class = _Compared
    else:
        context = ssl.create_default_context(cafile=asked.ca_file or None)
    if asked.digest or asked.is_any_believed:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if asked.is_legacy:
        loosen(context)
    return context
