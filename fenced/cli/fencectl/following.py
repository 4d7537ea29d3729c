"""Decides whether `fencectl` follows a standby to the address that it names.

The address comes out of the store, where every controller writes its own. So a writer of the store may name a machine
of theirs, and the request carries the token (security-model.md#where-a-token-may-be-sent). Pure: it sends nothing.
"""

from fenced.cli.fencectl.place import UNIX
from fenced.model.api_urls import is_on_loopback, origin, why_no_api_url


def why_not_followed(target: str, source: str, listed: tuple[str, ...], *, has_ca_file: bool) -> str:
    """Return why a request that `source` refused as a standby is not sent to `target`; "" if it is.

    `listed`: the addresses that the user gave. `has_ca_file`: certificates are checked against an authority that the
    user named, and not against those of the system, which sign for anybody.
    """
    if (why := why_no_api_url(target)) is not None:
        return f"its address {why}"
    if source.startswith("https:") and not target.startswith("https:"):
        return "a request never goes from https to http"
    if any(is_same(target, known) for known in listed):
        return ""
    if source.startswith("http:") and not is_on_loopback(source):
        return "it is not in --url, and a standby that is reached over http may have been forged: list it in --url"
    if target.startswith("http:") and not is_on_loopback(target):
        return "it is not in --url, and http is not encrypted: list it in --url"
    if target.startswith("https:") and not has_ca_file:
        return "it is not in --url, and without --ca-file its certificate proves little: list it in --url"
    return ""


def is_same(url: str, other: str) -> bool:
    """Return whether both lead to the same place."""
    if url == other or UNIX in (url[: len(UNIX)], other[: len(UNIX)]):
        return url == other
    return origin(url) == origin(other)
