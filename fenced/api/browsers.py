"""Refuse what a browser was tricked into sending: a foreign Host (DNS rebinding), a POST from a page of another site.

A unix socket needs no check of Host, because no browser reaches one.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from fenced.api.problems import Rejection
from fenced.model.addresses import canonical, is_loopback

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{0,5})?")


@dataclass(slots=True, kw_only=True)
class Browsers:
    """`names`: `api.hosts`, under which the API answers beside loopback names and the address of the connection.

    An attacker can make a name of theirs resolve to this machine, but none of these. Without tokens a page in a local
    browser may do what every local user may, so the check is always on. With tokens a page has none to send, so the
    check is on only where `api.hosts` lists names.
    """

    has_tokens: bool = False
    names: Collection[str] = ()

    def refuse_foreign_host(self, request: web.Request) -> None:
        """Raises Rejection (403). A request without Host does not come from a browser."""
        if self.has_tokens and not self.names:
            return
        if all(self._is_ours(host, request) for host in request.headers.getall("Host", ())):
            return
        raise Rejection(
            HTTPStatus.FORBIDDEN,
            "the API answers only as localhost, its own address or a name of api.hosts; the Host header names another",
            rule="host",
        )

    def refuse_foreign_origin(self, request: web.Request) -> None:
        """Reject a POST from a page of another site, which could switch off hosts through an operator's browser.

        Browsers send Origin with every cross-site POST. Without tokens the origin must also be this machine, because an
        attacker's name can be made to resolve to it (DNS rebinding). Raises Rejection (403).
        """
        origin = request.headers.get("Origin")
        if origin is None:
            return
        netloc, name = _place(origin)
        is_same = netloc == request.host
        if not is_same or not (self.has_tokens or is_loopback(name) or self._is_listed(name)):
            raise Rejection(HTTPStatus.FORBIDDEN, "the request comes from a page of another site", rule="origin")

    def _is_ours(self, host: str, request: web.Request) -> bool:
        """Return whether a Host header (name or address, optional port; RFC 9110, 7.2) means this machine."""
        written = _HOST.fullmatch(host)
        if written is None:
            return False
        name = written["name"]
        own = request.transport.get_extra_info("sockname") if request.transport is not None else None
        is_address = isinstance(own, tuple) and canonical(name) == canonical(str(own[0]))
        return is_loopback(name) or is_address or self._is_listed(name)

    def _is_listed(self, name: str) -> bool:
        return bool(name) and canonical(name) in {canonical(listed) for listed in self.names}


def _place(origin: str) -> tuple[str, str]:
    """Return host:port and the host; both are empty if this is not an origin."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "", ""
    return parts.netloc, parts.hostname or ""
