"""Checks a device's `address`: present, of a scheme that the driver speaks, and without a login."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, warning
from fenced.config.places import has_user_info
from fenced.model.addresses import is_loopback


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    for device in built.devices:
        yield from of_device(device)


def of_device(built: BuiltDevice) -> Iterator[Finding]:
    table, description = built.entry.table, built.description
    where = built.entry.where.key("address")
    if has_user_info(table.address):
        yield error(where, "a secret is never written inline: use username and password_file", value=table.address)
    # `options` checks the address of an agent, which is one of its parameters.
    if description is None or description.is_agent:
        return
    schemes = description.address_schemes
    wanted, unit = (f"{schemes[0]}://ADDRESS", "URL") if schemes else ("one", "address")
    is_in_options = any(name in table.options for name in description.address_options)
    if not table.address:
        if description.is_address_needed and not is_in_options:
            yield error(
                where,
                f"is missing: {description.name} needs {wanted}",
                unit=unit,
                rests_on=keys(built.entry, "options"),
            )
    elif schemes and not table.address.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        yield error(where, f"must be {wanted}", value=table.address, unit=unit)
    elif table.address.startswith("http://") and not is_loopback(_host_of(table.address)):
        yield warning(where, "the password goes over the network in clear", value=table.address)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
