"""Reaches a proxy agent through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), and the meaning of its refusals.

The mutual TLS between daemon and proxy agent runs inside the tunnel. An error of the HTTP proxy concerns only the
tunnel: nothing was sent to the proxy agent, and it says nothing about the device.
"""

from http import HTTPStatus
from typing import Final

import aiohttp

from fenced.model.inventory import Via
from fenced.model.names import ProxyName
from fenced.ports.devices import ProxyUnreachable

ADVICE: Final = {
    HTTPStatus.FORBIDDEN: "not allowed; let it CONNECT to the proxy agent's address and port",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "wrong user name or password; check via_username and via_password_file",
    HTTPStatus.BAD_GATEWAY: "it can't reach the proxy agent",
    HTTPStatus.SERVICE_UNAVAILABLE: "it can't reach the proxy agent",
    HTTPStatus.GATEWAY_TIMEOUT: "it can't reach the proxy agent",
}


def proxy_headers(via: Via | None) -> dict[str, str] | None:
    """Return the headers for CONNECT. The proxy agent never sees them."""
    if via is None or not via.username:
        return None
    password = "" if via.password is None else via.password.reveal()
    return {"Proxy-Authorization": aiohttp.encode_basic_auth(via.username, password)}


def via_error(proxy: ProxyName, via: Via, exc: aiohttp.ClientError) -> ProxyUnreachable:
    """Return the error for a failed CONNECT. Nothing was sent to the proxy agent."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        advice = ADVICE.get(HTTPStatus(exc.status)) if exc.status in set(HTTPStatus) else None
        why = f"refused with HTTP {exc.status}: {advice or 'see its log'}"
    else:
        why = "can't be reached; check that it runs, and its address"
    return ProxyUnreachable(f"proxy {proxy}: the HTTP proxy {via.url} {why}", may_be_done=False)
