"""A private certificate authority for daemons and proxies, so that a first installation needs no openssl.

Makes, renews and shows certificate files; knows nothing of calls. A key is readable by its owner only from the moment
it exists, and existing files are overwritten only on request.
"""

import ipaddress
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fenced.proxy.tls import CertificateError

CA_DAYS: Final = 7300
LEAF_DAYS: Final = 825
DAYS_MAX: Final = 36_500
CA_NAME: Final = "ca"
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid from this long ago, for machines whose clocks are slow."""
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
HOST_PATTERN: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})\Z", re.ASCII)
FILE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The files of a certificate and its key."""

    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A new certificate and its key, both PEM, before they are in any file."""

    certificate: bytes
    key: bytes
    valid_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One certificate, for display.

    `use`: ca, client, server. `has_key`: whether the key beside it belongs to it; None if there is no key.
    """

    file: Path
    name: str
    issuer: str
    use: tuple[str, ...]
    addresses: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    has_key: bool | None


def make_authority(directory: Path, *, days: int = CA_DAYS, is_forced: bool = False) -> Pair:
    """Make a new authority. Raises CertificateError."""
    pair = _pair(directory, CA_NAME)
    _refuse_existing(pair, is_forced=is_forced)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fenced private authority")])
    builder = _builder(name, name, key, key, days).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o755)  # regardless of the umask: services read certificates here; keys have their own mode
    except OSError as exc:
        raise CertificateError(f"{directory}: can't be made: {exc}") from exc
    _write(pair, _signed(builder.sign(key, hashes.SHA256()), key))
    return pair


def make_daemon(directory: Path, *, name: str, days: int = LEAF_DAYS, is_forced: bool = False) -> Pair:
    """Make a daemon's certificate; proxies know the daemon by its name. Raises CertificateError."""
    return _make_leaf(directory, name, ExtendedKeyUsageOID.CLIENT_AUTH, (), days, is_forced=is_forced)


def make_proxy(
    directory: Path, *, name: str, addresses: Sequence[str], days: int = LEAF_DAYS, is_forced: bool = False
) -> Pair:
    """Make a proxy's certificate, valid for exactly these host names and addresses. Raises CertificateError."""
    return _make_leaf(directory, name, ExtendedKeyUsageOID.SERVER_AUTH, addresses, days, is_forced=is_forced)


def renew(directory: Path, *, name: str, days: int = LEAF_DAYS) -> Pair:
    """Replace the certificate and key of that name by new ones for the same use and addresses, signed by the current
    authority. Raises CertificateError."""
    pair = _pair(directory, name)
    before = _load_certificates(pair.cert_file)[0]
    use = ExtendedKeyUsageOID.SERVER_AUTH if "server" in _uses(before) else ExtendedKeyUsageOID.CLIENT_AUTH
    return _make_leaf(directory, name, use, _addresses(before), days, is_forced=True)


def ends(path: Path) -> list[datetime]:
    """Return when each certificate of a file expires, in file order. Raises CertificateError."""
    return [certificate.not_valid_after_utc for certificate in _load_certificates(path)]


def show(path: Path) -> list[Shown]:
    """Return the certificates of a file, or of all `.crt` and `.pem` files of a directory. Raises CertificateError."""
    if not path.is_dir():
        return [_shown(path, certificate) for certificate in _load_certificates(path)]
    files = sorted(file for file in path.iterdir() if file.suffix in {".crt", ".pem"})
    if not files:
        raise CertificateError(f"{path}: no certificates (*.crt, *.pem) here; make some with: fenced certs init {path}")
    return [_shown(file, certificate) for file in files for certificate in _load_certificates(file)]


def _make_leaf(
    directory: Path,
    name: str,
    use: x509.ObjectIdentifier,
    addresses: Sequence[str],
    days: int,
    *,
    is_forced: bool,
) -> Pair:
    if NAME_PATTERN.match(name) is None or name == CA_NAME:
        raise CertificateError(f"{name!r}: use 1 to 64 of A-Z a-z 0-9 . _ - for a name, and not {CA_NAME!r}")
    pair = _pair(directory, name)
    _refuse_existing(pair, is_forced=is_forced)
    _write(pair, sign(directory, name=name, uses=(use,), addresses=addresses, days=days))
    return pair


def sign(
    directory: Path,
    *,
    name: str,
    uses: Sequence[x509.ObjectIdentifier],
    addresses: Sequence[str] = (),
    days: int = LEAF_DAYS,
) -> Signed:
    """Return a certificate of that name, signed by the authority in `directory`, and its new key. Raises
    CertificateError."""
    authority, authority_key = _load_authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, authority.subject, key, authority_key, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([*uses]), critical=False)
    if addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(a) for a in addresses]), critical=False
        )
    return _signed(builder.sign(authority_key, hashes.SHA256()), key)


def _signed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    return Signed(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        valid_until=certificate.not_valid_after_utc,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.CertificateBuilder:
    """Build what all certificates share (RFC 5280)."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=min(days, DAYS_MAX)))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        pass
    if HOST_PATTERN.match(address) is None:
        raise CertificateError(f"{address!r} is neither a host name nor an IP address; give no URL and no port")
    return x509.DNSName(address)


def _pair(directory: Path, name: str) -> Pair:
    return Pair(cert_file=directory / f"{name}.crt", key_file=directory / f"{name}.key")


def _refuse_existing(pair: Pair, *, is_forced: bool) -> None:
    for file in (pair.key_file, pair.cert_file):
        if file.exists() and not is_forced:
            raise CertificateError(
                f"{file} exists already; --force replaces it "
                "(then certificates that it signed are not trusted any more)"
            )


def _write(pair: Pair, signed: Signed) -> None:
    """Write the key first: a certificate without its key is useless."""
    try:
        _write_file(pair.key_file, signed.key, mode=0o600)
        _write_file(pair.cert_file, signed.certificate, mode=0o644)
    except OSError as exc:
        raise CertificateError(f"{pair.cert_file.parent}: can't be written: {exc}") from exc


def _write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write atomically, through a new file with the right mode from the start.

    An existing file keeps its owner, group and mode: a service that could read the old key must be able to read the new
    one.
    """
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        if before is not None:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            mode = stat.S_IMODE(before.st_mode) & (mode | 0o640)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _load_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    pair = _pair(directory, CA_NAME)
    if not pair.key_file.exists():
        raise CertificateError(f"{directory}: no authority here; make one with: fenced certs init {directory}")
    certificate = _load_certificates(pair.cert_file)[0]
    try:
        key = serialization.load_pem_private_key(_read(pair.key_file), password=None)
    except (ValueError, TypeError) as exc:
        # Do not pass on the library's message: it quotes the file.
        raise CertificateError(f"{pair.key_file}: not a private key in PEM without a password") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateError(f"{pair.key_file} does not belong to {pair.cert_file}")
    return certificate, key


def _load_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as exc:
        raise CertificateError(f"{path}: holds no PEM certificate") from exc


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as exc:
        raise CertificateError(f"{path}: can't be read: {exc.strerror or exc}") from exc


def _shown(path: Path, certificate: x509.Certificate) -> Shown:
    return Shown(
        file=path,
        name=_common_name(certificate.subject),
        issuer=_common_name(certificate.issuer),
        use=_uses(certificate),
        addresses=_addresses(certificate),
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        has_key=_has_key(path, certificate),
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _uses(certificate: x509.Certificate) -> tuple[str, ...]:
    uses: list[str] = []
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            uses.append("ca")
    except x509.ExtensionNotFound:
        pass
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return tuple(uses)
    words = {ExtendedKeyUsageOID.CLIENT_AUTH: "client", ExtendedKeyUsageOID.SERVER_AUTH: "server"}
    return (*uses, *(words[use] for use in extended if use in words))


def _addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _has_key(path: Path, certificate: x509.Certificate) -> bool | None:
    key_file = path.with_suffix(".key")
    if not key_file.exists():
        return None
    try:
        key = serialization.load_pem_private_key(_read(key_file), password=None)
    except (ValueError, TypeError, CertificateError):
        return False
    return key.public_key() == certificate.public_key()
