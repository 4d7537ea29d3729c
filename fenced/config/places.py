"""Turns the paths, URLs and listening addresses of a file into what the adapters take. Knows no table.

A relative path starts at the folder of its file, never at the working directory.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fenced.config import files
from fenced.config.configuration import BusConfiguration, StoreConfiguration, TlsClient
from fenced.config.mistakes import Mistakes, Where
from fenced.config.secret_sources import SecretReader
from fenced.config.tables import LoginKeys, StoreTable, TlsKeys
from fenced.model.addresses import is_loopback, names_nobody
from fenced.model.api_urls import why_no_api_url
from fenced.model.bus_urls import BusUrl
from fenced.model.socket_paths import why_no_socket_path
from fenced.model.store_urls import SQLITE, PostgresUrl

TLS_BYTES_MAX: Final = 16 * 1024 * 1024
"""Limit of a certificate, a key, or a system's list of authorities."""


def existing_file(name: str, base: Path, where: Where, mistakes: Mistakes) -> Path | None:
    """Return the absolute path; None if no name is given. Report a file that can't be read."""
    if not name:
        return None
    path = absolute(name, base)
    _look(lambda: files.read(path, bytes_max=TLS_BYTES_MAX), path, where, mistakes)
    return path


def folder(name: str, base: Path, where: Where, mistakes: Mistakes) -> Path:
    """Return the absolute path. It need not exist yet; report what can't be a folder."""
    path = absolute(name, base)
    _look(lambda: files.check_folder(path), path, where, mistakes, unit="folder")
    return path


def folders(names: Iterable[str], base: Path, where: Where, mistakes: Mistakes) -> tuple[Path, ...]:
    """`folder` for each of a list."""
    return tuple(folder(name, base, where.item(index), mistakes) for index, name in enumerate(names))


def socket_to_be(name: str, base: Path, where: Where, mistakes: Mistakes) -> Path | None:
    """Return the absolute path; None if no name is given. Report what can't become a unix socket."""
    if not name:
        return None
    path = absolute(name, base)
    why = why_no_socket_path(str(path))
    if why is not None:
        mistakes.error(where, why, value=str(path), unit="socket")
        return path
    _look(lambda: files.check_socket_to_be(path), path, where, mistakes, unit="socket")
    return path


def _look(look: Callable[[], object], path: Path, where: Where, mistakes: Mistakes, *, unit: str = "file") -> None:
    """Report an unusable file at its key, and refuse the key."""
    try:
        look()
    except files.UnusableFile as exc:
        mistakes.error(where, str(exc), value=str(path), unit=unit)
        mistakes.refuse(where)


def absolute(name: str, base: Path) -> Path:
    """`base` is the folder of the file that holds the name."""
    return (base / name).absolute()


def key_pair(
    cert: tuple[str, str], key: tuple[str, str], base: Path, where: Where, secrets: SecretReader, mistakes: Mistakes
) -> tuple[Path | None, Path | None]:
    """Return a certificate and its private key, both or neither; report two that don't match.

    Each is given as (name of its key in the file, value).
    """
    if bool(cert[1]) != bool(key[1]):
        given, missing = (cert, key) if cert[1] else (key, cert)
        mistakes.error(where.key(missing[0]), f"is missing: {given[0]} is given", unit="file")
        mistakes.refuse(where.key(missing[0]))
    cert_file = existing_file(cert[1], base, where.key(cert[0]), mistakes)
    key_file = existing_file(key[1], base, where.key(key[0]), mistakes)
    if key_file is not None:
        secrets.check_key(key_file, where.key(key[0]))
    are_usable = not any(mistakes.is_refused(where.key(name)) for name, _ in (cert, key))
    if cert_file is not None and key_file is not None and are_usable:
        pair = cert_file, key_file
        _look(lambda: files.check_pair(*pair), cert_file, where.key(cert[0]), mistakes)
    return cert_file, key_file


def authority(name: str, base: Path, where: Where, mistakes: Mistakes) -> Path | None:
    """`existing_file` for a certificate authority."""
    path = existing_file(name, base, where, mistakes)
    if path is not None and not mistakes.is_refused(where):
        found = path
        _look(lambda: files.check_authority(found), path, where, mistakes)
    return path


def tls_client(table: TlsKeys, base: Path, where: Where, secrets: SecretReader, mistakes: Mistakes) -> TlsClient:
    """Return the three files of a TLS client."""
    cert, key = key_pair(("cert_file", table.cert_file), ("key_file", table.key_file), base, where, secrets, mistakes)
    ca = authority(table.ca_file, base, where.key("ca_file"), mistakes)
    return TlsClient(ca_file=ca, cert_file=cert, key_file=key)


def bus(
    url: str,
    table: LoginKeys,
    base: Path,
    where: Where,
    secrets: SecretReader,
    mistakes: Mistakes,
) -> BusConfiguration:
    """Return the broker of a table with the login keys and its URL under `url`."""
    tls = tls_client(table, base, where, secrets, mistakes)
    password = secrets.password(table, where, base)
    if password is not None and not table.username:
        mistakes.error(where.key("username"), "is missing: a password is given", unit="text")
    try:
        broker = BusUrl.parse(url)
    except ValueError as exc:
        mistakes.error(where.key("url"), str(exc), value=url, unit="URL")
        mistakes.refuse(where.key("url"))
        return BusConfiguration()
    scheme, host = broker.scheme, broker.host
    if scheme != "mqtts" and tls != TlsClient():
        mistakes.warning(where.key("url"), "the TLS files are not used: use mqtts://", value=url, unit="URL")
    if scheme == "mqtt" and password is not None and not is_loopback(host):
        mistakes.warning(where.key("url"), "the password goes over the network in clear: use mqtts://", value=url)
    return BusConfiguration(
        url=url, scheme=scheme, host=host, port=broker.port, username=table.username, password=password, tls=tls
    )


def store(
    table: StoreTable, state_dir: Path, base: Path, where: Where, secrets: SecretReader, mistakes: Mistakes
) -> StoreConfiguration:
    """Return the store of `[store]`: an SQLite file or a PostgreSQL database."""
    if table.url.startswith(("postgresql:", "postgres:")):
        return _postgres(table, base, where, secrets, mistakes)
    unused = ("ca_file", "cert_file", "key_file", "password_file", "password_env", "password_credential", "pooled")
    for key in (*unused, "shards_at_most"):
        if getattr(table, key):
            mistakes.warning(where.key(key), "is not used: the store is an SQLite file", unit="key")
    path = _sqlite_path(table.url, state_dir, where.key("url"), mistakes)
    return StoreConfiguration(url=table.url, path=path, shards=table.shards, shards_at_most=table.shards_at_most)


def _postgres(
    table: StoreTable, base: Path, where: Where, secrets: SecretReader, mistakes: Mistakes
) -> StoreConfiguration:
    tls = tls_client(table, base, where, secrets, mistakes)
    password = secrets.password(table, where, base)
    try:
        url = PostgresUrl.parse(table.url)
    except ValueError as exc:
        mistakes.error(where.key("url"), str(exc), value=table.url, unit="URL")
        mistakes.refuse(where.key("url"))
        return StoreConfiguration(url="")
    if not url.is_local and not url.is_tls and tls.ca_file is None:
        mistakes.warning(
            where.key("url"),
            "the records go over the network in clear: set ca_file, or sslmode=verify-full in the URL",
            value=str(url),
        )
    return StoreConfiguration(
        url=str(url),
        postgres=url,
        password=password,
        tls=tls,
        is_pooled=table.pooled,
        shards=table.shards,
        shards_at_most=table.shards_at_most,
    )


def _sqlite_path(url: str, state_dir: Path, where: Where, mistakes: Mistakes) -> Path:
    """Return the file of an SQLite URL. Report any other URL."""
    name = url.removeprefix(SQLITE)
    if not url.startswith(SQLITE) or not name or name.endswith("/") or set(name) & set("?#:"):
        mistakes.error(
            where,
            "must be sqlite:///FILE (relative to state_dir), sqlite:////ABSOLUTE/FILE or postgresql://USER@HOST/NAME",
            value=url,
            unit="URL",
        )
    path = absolute(name, state_dir)
    try:
        files.check_folder(path.parent)
        files.check_file_to_be(path)
    except files.UnusableFile as exc:
        mistakes.error(where, f"{path}: {exc}", value=url, unit="URL")
    return path


def listen(text: str, where: Where, mistakes: Mistakes) -> tuple[str, int]:
    """Return (address, port) of ADDRESS:PORT or [IPv6]:PORT; port 0 takes any free one."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port
    except ValueError:
        pass
    mistakes.error(where, 'must be ADDRESS:PORT, such as "127.0.0.1:8470" or "[::1]:8470"', value=text, unit="address")
    return "127.0.0.1", 0


def advertised(text: str, host: str, port: int, where: Where, mistakes: Mistakes, *, is_tls: bool) -> str:
    """Return the URL of the API for others; "" if it is not given and nobody else reaches where it listens."""
    if text:
        why = why_no_api_url(text)
        if why is None:
            return text.rstrip("/")
        mistakes.error(where, why, value=text, unit="URL")
        mistakes.refuse(where)
        return ""
    if names_nobody(host) or port == 0:
        return ""
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def has_user_info(url: str) -> bool:
    """Whether a URL or HOST:PORT contains a login."""
    if "@" not in url:
        return False
    try:
        return "@" in urlsplit(url if "://" in url else f"//{url}").netloc
    except ValueError:
        return False
