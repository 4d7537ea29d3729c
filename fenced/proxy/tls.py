"""TLS for both ends: each presents a certificate of the private authority and verifies the other's.

Trust never rests on an address, and names match exactly (S12).
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CHECK: Final = "look at the files with: fenced certs show FILE"


class CertificateError(Exception):
    """A certificate or key file can't be used; says which one and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The files of one end: its certificate, its key, and the authority of the other end."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that requires a client certificate of the authority. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, files)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that verifies the proxy's certificate and host name. Raises CertificateError."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the one CN of the subject in a `getpeercert` result. None if there is none, or more than one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for entry in subject for key, value in entry if key == "commonName"]
    return str(names[0]) if len(names) == 1 else None


def _loaded(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=files.ca_file)
    except OSError as exc:
        raise CertificateError(f"{files.ca_file}: no readable CA certificate: {exc}; {CHECK}") from exc
    try:
        # With an encrypted key, OpenSSL would prompt at a terminal that a daemon does not have.
        context.load_cert_chain(files.cert_file, files.key_file, password=b"")
    except (OSError, ValueError) as exc:
        raise CertificateError(
            f"{files.cert_file} and {files.key_file}: can't be read, or don't belong together: {exc}; {CHECK}"
        ) from exc
    return context
