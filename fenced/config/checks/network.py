"""Checks who can reach the API, and that it, https:// proxies and confirm_off by MQTT have the files that they need."""

import re
from collections.abc import Iterator
from typing import Final

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, once_for_all, warning
from fenced.model.addresses import canonical, is_loopback
from fenced.model.api_tokens import REPORTER
from fenced.model.api_urls import origin
from fenced.model.names import HostName

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", re.ASCII)


def api(draft: Draft) -> Iterator[Finding]:
    """Off loopback the API needs tokens, and should have a certificate."""
    table, found, where = draft.main.api, draft.configuration.api, draft.where.key("api")
    yield from _callers(draft)
    yield from _advertised(draft)
    if is_loopback(found.host):
        return
    if not table.tokens_file:
        yield error(
            where.key("tokens_file"),
            "is missing: listen is not a loopback address, so callers need tokens",
            unit="file",
        )
    elif found.tls_cert_file is None:
        yield warning(where.key("tls_cert_file"), "is missing: tokens go over the network in clear", unit="file")


def _callers(draft: Draft) -> Iterator[Finding]:
    """`tcp_writes` opens the fleet to local users; a name of `hosts` is no address with port; reporters are hosts."""
    table, found, where = draft.main.api, draft.configuration.api, draft.where.key("api")
    if found.tcp_writes and not table.tokens_file:
        yield warning(
            where.key("tcp_writes"),
            "every user and program of this machine can cut power, and as anyone: use the socket, or tokens",
            value=True,
            rests_on=(where.key("tokens_file"),),
        )
    for index, name in enumerate(found.hosts):
        if _HOST_NAME.fullmatch(name) is None:
            yield error(
                where.key("hosts").item(index), "must be a name or an address, without scheme and port", value=name
            )
    for token in found.tokens:
        if token.role == REPORTER and HostName(token.reports) not in draft.inventory.hosts:
            yield warning(
                where.key("tokens_file"),
                f"reporter={token.reports}: no such host; the name must match exactly",
                once=once_for_all("tokens", "reporters"),
            )


def _advertised(draft: Draft) -> Iterator[Finding]:
    """With a store that controllers share, each needs an address, under which its API answers."""
    api, where = draft.configuration.api, draft.where.key("api")
    if not api.advertise:
        if draft.configuration.store.postgres is not None:
            yield warning(
                where.key("advertise"),
                "is missing, and listen is no address for others: no standby can send a client to this controller",
                unit="URL",
                rests_on=(where.key("listen"), draft.where.key("store").key("url")),
            )
        return
    name = origin(api.advertise)[1]
    listed = {canonical(host) for host in (*api.hosts, api.host)}
    if api.hosts and name not in listed and not is_loopback(name):
        yield warning(
            where.key("advertise"),
            f"the API refuses requests under this name: add {name} to hosts",
            value=api.advertise,
            unit="URL",
            rests_on=(where.key("hosts"),),
        )


def confirm_off(draft: Draft) -> Iterator[Finding]:
    accepted, where = draft.main.bus.accept_requests, draft.where.key("bus")
    if "confirm_off" in accepted and draft.configuration.bus.scheme != "mqtts":
        yield error(
            where.key("accept_requests"), "confirm_off needs mqtts://", value=accepted, rests_on=(where.key("url"),)
        )


def proxies(draft: Draft) -> Iterator[Finding]:
    """https:// proxies need all three files of [proxy_client]."""
    names = [name for name, proxy in draft.inventory.proxies.items() if proxy.url.startswith("https://")]
    files, where = draft.configuration.proxy_client, draft.where.key("proxy_client")
    if names and not (files.ca_file and files.cert_file and files.key_file):
        yield error(
            where,
            f"ca_file, cert_file and key_file are needed for https:// proxies, as {names[0]} "
            f"({draft.entries.proxies[names[0]].where})",
            unit="files",
            rests_on=tuple(where.key(key) for key in ("ca_file", "cert_file", "key_file")),
        )
