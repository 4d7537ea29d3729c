"""The URL of a controller's API as others are given it: https://HOST[:PORT][/PATH], or http://.

It comes from a configuration file, and from another controller's answer: the same rules hold for both.
"""

from typing import Final
from urllib.parse import urlsplit

from fenced.model.addresses import canonical, is_loopback

URL_MAX: Final = 512
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def why_no_api_url(url: str) -> str | None:
    """Return what is wrong with a URL; None if nothing is. It holds no login, no query, and no unix socket."""
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return f"must be printable ASCII without spaces, at most {URL_MAX} characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "must be https://HOST[:PORT] or http://HOST[:PORT]"
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return "must be https://HOST[:PORT] or http://HOST[:PORT]"
    if "@" in parts.netloc:
        return "must not contain a login"
    if parts.query or parts.fragment or port == 0:
        return "must be https://HOST[:PORT] or http://HOST[:PORT], without a query"
    return None


def origin(url: str) -> tuple[str, str, int, str]:
    """Return scheme, canonical host, port and path of a valid URL, to compare two."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return parts.scheme, canonical(parts.hostname or ""), port, parts.path.rstrip("/")


def is_on_loopback(url: str) -> bool:
    """Return whether a valid URL leads to this machine."""
    return is_loopback(urlsplit(url).hostname or "")
