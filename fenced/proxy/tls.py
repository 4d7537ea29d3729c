"""TLS of both ends: each shows a certificate of the private authority, and each checks the other's.

Knows files and `ssl`; nothing of calls. One rule: no connection is trusted by its address; a name matches wholly (S12).
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CHECK: Final = "look at the files with: fenced certs show FILE"


class CertificateError(Exception):
    """A certificate or key file can't be used; says which and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where one end's certificate, its key and the authority of the other end are."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Asks every client for a certificate of the authority. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, files)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Checks the proxy's certificate and that it names the address that was called. Raises CertificateError."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """The one CN of the subject, of a certificate as `getpeercert` tells it. None without, or with more than one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for entry in subject for key, value in entry if key == "commonName"]
    return str(names[0]) if len(names) == 1 else None


def _loaded(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=files.ca_file)
    except OSError as exc:
        raise CertificateError(f"{files.ca_file}: not a readable certificate of an authority: {exc}; {CHECK}") from exc
    try:
        # An encrypted key must not make a daemon ask at a terminal that it does not have.
        context.load_cert_chain(files.cert_file, files.key_file, password=b"")
    except (OSError, ValueError) as exc:
        raise CertificateError(
            f"{files.cert_file} and {files.key_file}: can't be read, or don't belong together: {exc}; {CHECK}"
        ) from exc
    return context
