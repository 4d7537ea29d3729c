"""Contexts of TLS for BMCs: whom to believe, and how old a TLS to speak.

Knows `ssl`, no HTTP and no device. One rule: a pinned certificate is compared in the handshake, before anything is sent.
"""

import hashlib
import ssl
from dataclasses import dataclass

from fenced.net.handshake import loosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a device asks for. At most one of `ca_file`, `digest` (SHA-256 of the certificate) and `is_any_believed`; none:
    public authorities."""

    ca_file: str = ""
    digest: bytes = b""
    is_any_believed: bool = False
    is_legacy: bool = False


class Pinned(ssl.SSLContext):
    """Believes one certificate. aiohttp has a pin of its own, but not beside a context."""

    digest = b""


class _Compared(ssl.SSLObject):
    """Its context is Pinned."""

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
    """Raises OSError for a file that can't be read, ssl.SSLError for one that holds no certificates."""
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
