"""Explains why a TLS handshake failed, in texts that distinguish the causes, and loosens a context for old servers.

It knows OpenSSL's errors, not who speaks; `offer` finds what the other side offers. A text never holds less than
OpenSSL reported.
"""

import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Final

SHOWN_MAX: Final = 200
LEGACY_CIPHERS: Final = "DEFAULT:@SECLEVEL=0"
"""Also RSA key exchange, SHA-1 and short keys; nothing without encryption or authentication."""
_LEGACY_SERVER_CONNECT: Final = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT (OpenSSL 3; `ssl` names it from Python 3.12): servers without RFC 5746."""


class Cause(Enum):
    """What the two sides could not agree on; the text describes the other side."""

    VERSION = "no common version"
    CIPHER = "no common cipher"
    STRENGTH = "its key or signature is too weak"
    CERTIFICATE = "its certificate"
    OUR_CERTIFICATE = "it does not accept our certificate"
    NO_TLS = "it does not speak TLS at this port"
    HUNG_UP = "it hung up"
    OTHER = "failed"


NEGOTIATED: Final = frozenset({Cause.VERSION, Cause.CIPHER, Cause.STRENGTH, Cause.HUNG_UP})
"""Causes that an older or weaker offer may cure. Old servers hang up where they should send an alert."""

_REASONS: Final = {
    **dict.fromkeys(
        ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "NO_PROTOCOLS_AVAILABLE",
         "VERSION_TOO_LOW", "SSLV3_ALERT_PROTOCOL_VERSION"),
        Cause.VERSION,
    ),
    **dict.fromkeys(
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "NO_SHARED_CIPHER",
         "NO_CIPHERS_AVAILABLE", "WRONG_CIPHER_RETURNED", "UNKNOWN_CIPHER_RETURNED",
         "UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "NO_SUITABLE_KEY_SHARE", "TLSV1_ALERT_DECRYPT_ERROR"),
        Cause.CIPHER,
    ),
    **dict.fromkeys(
        ("DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "WRONG_SIGNATURE_TYPE",
         "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED", "NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_SHARED_SIGNATURE_ALGORITHMS",
         "WRONG_CURVE", "BAD_DH_VALUE"),
        Cause.STRENGTH,
    ),
    **dict.fromkeys(
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_NO_CERTIFICATE",
         "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_CERTIFICATE_EXPIRED",
         "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_ACCESS_DENIED"),
        Cause.OUR_CERTIFICATE,
    ),
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG",
         "RECORD_LAYER_FAILURE", "BAD_PROTOCOL_VERSION_NUMBER"),
        Cause.NO_TLS,
    ),
    **dict.fromkeys(("UNEXPECTED_EOF_WHILE_READING", "TLSV1_ALERT_CLOSE_NOTIFY"), Cause.HUNG_UP),
}  # fmt: skip
_CERTIFICATES: Final = {
    9: "is not valid yet", 10: "has expired", 18: "is signed by itself, by no known authority",
    **dict.fromkeys((2, 19, 20, 21), "is of an unknown authority"), 23: "is revoked",
    **dict.fromkeys((62, 63, 64), "is for another name"), **dict.fromkeys((66, 67, 68), "is too weak"),
}  # fmt: skip
"""By X509_V_ERR (x509_vfy.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failed handshake. `why`: OpenSSL's reason."""

    cause: Cause
    text: str
    why: str

    def __str__(self) -> str:
        return f"TLS handshake: {self.text}" + (f" ({self.why})" if self.why else "")


def fault(exc: BaseException | None) -> Fault | None:
    """Return the TLS fault in the chain of causes, or None."""
    while exc is not None:
        # aiohttp's errors look like those of `ssl`, but hold the real one inside.
        exc = getattr(exc, "certificate_error", None) or getattr(exc, "os_error", None) or exc
        if isinstance(exc, ssl.SSLCertVerificationError):
            what = _CERTIFICATES.get(exc.verify_code, "is not trusted")
            return Fault(cause=Cause.CERTIFICATE, text=f"its certificate {what}", why=exc.verify_message[:SHOWN_MAX])
        if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return hung_up()
        if isinstance(exc, ssl.SSLError):
            why = (exc.reason or str(exc))[:SHOWN_MAX]
            cause = _REASONS.get(exc.reason or "", Cause.OTHER)
            return Fault(cause=cause, text=cause.value, why=why)
        exc = exc.__cause__ or exc.__context__
    return None


def hung_up() -> Fault:
    """Return the fault of a connection that ended during its handshake."""
    return Fault(cause=Cause.HUNG_UP, text=Cause.HUNG_UP.value, why="")


def loosen(context: ssl.SSLContext) -> None:
    """Also allow TLS 1.0 and 1.1, RSA key exchange and weak keys. The trusted certificates stay the same."""
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.options |= ssl.Options(_LEGACY_SERVER_CONNECT)
    context.set_ciphers(LEGACY_CIPHERS)
