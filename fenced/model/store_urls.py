"""The URL of `[store]`: a file, or a PostgreSQL database on one host or several.

    sqlite:///NAME.db | sqlite:////DIRECTORY/NAME.db
    postgresql://USER@HOST[:PORT][,HOST[:PORT]...]/DATABASE[?sslmode=verify-full]
    postgresql://USER@/DATABASE?host=/FOLDER/OF/THE/SOCKET

The form of the second is libpq's (PostgreSQL 15, section 34.1.1.2), without a password: secrets have keys of their own.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from fenced.model.addresses import is_loopback

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = "postgresql://"
PORT: Final = 5432
_SSL_MODES: Final = {"disable": False, "verify-full": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresUrl:
    """`hosts`: (name, address or socket folder, port), tried in order until one accepts writes."""

    user: str
    hosts: tuple[tuple[str, int], ...]
    database: str
    is_tls: bool = False

    @property
    def is_local(self) -> bool:
        """Return whether nothing goes over a network."""
        return all(host.startswith("/") or is_loopback(host) for host, _ in self.hosts)

    def __str__(self) -> str:
        """Return the name of the database in logs and errors."""
        hosts = ",".join(host if host.startswith("/") else f"{host}:{port}" for host, port in self.hosts)
        return f"postgresql://{self.user}@{hosts}/{self.database}"

    @classmethod
    def parse(cls, url: str) -> "PostgresUrl":
        """Raises ValueError, whose text quotes no password."""
        head, _, query = url.removeprefix(POSTGRESQL).partition("?")
        login, at, rest = head.rpartition("@")
        places, slash, database = rest.partition("/")
        if not url.startswith(POSTGRESQL) or not at or not slash or not database or "/" in database:
            raise ValueError("must be postgresql://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE")
        if ":" in login:
            raise ValueError("holds a password: use password_file, password_env or password_credential")
        if not login:
            raise ValueError("names no user: postgresql://USER@HOST/DATABASE")
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        folder, mode = options.pop("host", ""), options.pop("sslmode", "disable")
        if options:
            raise ValueError(
                f"has the unknown parameter {min(options)!r}: only host=/FOLDER and sslmode are understood"
            )
        if mode not in _SSL_MODES:
            raise ValueError(f"sslmode={mode}: use disable or verify-full (with ca_file it is verify-full)")
        if bool(folder) == bool(places) or (folder and not folder.startswith("/")):
            raise ValueError("needs a host before the /, or host=/FOLDER of a unix socket")
        hosts = ((folder, PORT),) if folder else tuple(_host(place) for place in places.split(","))
        return cls(user=unquote(login), hosts=hosts, database=unquote(database), is_tls=_SSL_MODES[mode])


def _host(text: str) -> tuple[str, int]:
    """Return (host, port) of HOST, HOST:PORT or [IPv6]:PORT. Raises ValueError."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not [IPv6]:PORT")
        port = rest[1:]
    elif ":" in text:
        host, _, port = text.partition(":")
    if not host or not host.isprintable() or " " in host:
        raise ValueError("names an empty host")
    if not port:
        return unquote(host), PORT
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{port!r} is not a port")
    return unquote(host), int(port)
