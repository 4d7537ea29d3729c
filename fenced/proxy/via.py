"""The way to a proxy agent through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), and what its refusals mean.

Knows no TLS: that goes on inside, from the daemon to the proxy agent, mutual as ever. One rule: what the HTTP proxy
says is about the way alone; nothing was sent to the proxy agent, and nothing is known of the device.
"""

from http import HTTPStatus
from typing import Final

import aiohttp

from fenced.model.inventory import Via
from fenced.model.names import ProxyName
from fenced.ports.devices import ProxyUnreachable

ADVICE: Final = {
    HTTPStatus.FORBIDDEN: "it does not allow the way: let it CONNECT to the proxy's address and port",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "it wants another user name or password: via_username, via_password_file",
    HTTPStatus.BAD_GATEWAY: "it can't reach the proxy agent",
    HTTPStatus.SERVICE_UNAVAILABLE: "it can't reach the proxy agent",
    HTTPStatus.GATEWAY_TIMEOUT: "it can't reach the proxy agent",
}


def proxy_headers(via: Via | None) -> dict[str, str] | None:
    """What CONNECT carries; the proxy agent never gets to see it."""
    if via is None or not via.username:
        return None
    password = "" if via.password is None else via.password.reveal()
    return {"Proxy-Authorization": aiohttp.encode_basic_auth(via.username, password)}


def via_error(proxy: ProxyName, via: Via, exc: aiohttp.ClientError) -> ProxyUnreachable:
    """No way to the proxy agent. Nothing was sent to it."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        advice = ADVICE.get(HTTPStatus(exc.status)) if exc.status in set(HTTPStatus) else None
        why = f"refused with HTTP {exc.status}: {advice or 'see its log'}"
    else:
        why = "can't be reached; does it run there?"
    return ProxyUnreachable(f"proxy {proxy}: the HTTP proxy {via.url} {why}", may_be_done=False)
