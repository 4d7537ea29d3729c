"""Checks that the API, https:// proxies and confirm_off by MQTT have the TLS files and tokens that they need."""

from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, warning
from fenced.model.addresses import is_loopback


def api(draft: Draft) -> Iterator[Finding]:
    """Off loopback the API needs tokens, and should have a certificate."""
    table, found, where = draft.main.api, draft.configuration.api, draft.where.key("api")
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
