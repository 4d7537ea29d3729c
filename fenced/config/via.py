"""Reads `via` and its login: the HTTP proxy on the way to a fenced proxy.

It carries TLS only, so a proxy without TLS is never reached through one.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fenced.config.mistakes import Mistakes, Where
from fenced.config.secret_sources import SOURCES, SecretReader
from fenced.config.tables import ViaKeys
from fenced.model.addresses import is_loopback
from fenced.model.inventory import Via

DIRECT: Final = "direct"


def read_via(table: ViaKeys, where: Where, base: Path, secrets: SecretReader, mistakes: Mistakes) -> Via | None:
    """Return the HTTP proxy of the table; None for none, or "direct"."""
    password = secrets.secret(
        "via_password", {source: getattr(table, f"via_password_{source}") for source in SOURCES}, where, base
    )
    if not table.via or table.via == DIRECT:
        if table.via_username or password is not None:
            mistakes.error(where.key("via"), "is missing, but its login is given", unit="URL")
        return None
    host = _host(table.via, where, mistakes)
    if password is not None and not table.via_username:
        mistakes.error(where.key("via_username"), "is missing: a password is given", unit="text")
    if password is not None and host and not is_loopback(host):
        mistakes.warning(
            where.key("via"), "the login to the HTTP proxy goes over the network in clear", value=table.via
        )
    return Via(url=table.via.rstrip("/"), username=table.via_username, password=password)


def _host(url: str, where: Where, mistakes: Mistakes) -> str:
    try:
        parts = urlsplit(url)
        host, has_port = parts.hostname or "", parts.port is not None
    except ValueError:
        parts, host, has_port = urlsplit(""), "", False
    if "@" in parts.netloc:
        mistakes.error(where.key("via"), "a secret is never written inline: use via_username and via_password_file")
    elif parts.scheme != "http" or not host or not has_port or parts.path not in {"", "/"} or parts.query:
        mistakes.error(where.key("via"), "must be http://HOST:PORT", value=url, unit="URL")
    return host
