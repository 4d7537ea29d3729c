"""Warns of keys that make the daemon trust a device more, or protect its password less, and of those without effect."""

from collections.abc import Iterator

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, warning
from fenced.config.inventory_tables import DeviceTable
from fenced.config.option_shapes import PINNED_THERE
from fenced.model.drivers import DriverDescription
from fenced.model.inventory import Tls


def check(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Warnings only: the operator may have a reason."""
    for device in built.devices:
        yield from _of_device(device)


def _of_device(device: BuiltDevice) -> Iterator[Finding]:
    table, where, description = device.entry.table, device.entry.where, device.description
    if description is None:
        return
    if not table.check_ready:
        yield warning(
            where.key("check_ready"),
            "the device is trusted even when it reports that it has just started, when some devices read OFF for a "
            "running host: use it only for a device that always reports this"
            if description.can_tell_ready
            else f"has no effect: {description.name} does not check whether a device is ready",
        )
    if table.tls == Tls.LEGACY.value and table.credential:
        yield warning(where.key("tls"), PINNED_THERE, value=table.tls)
    elif table.tls == Tls.LEGACY.value:
        yield warning(where.key("tls"), _of_legacy_tls(table, description), value=table.tls)


def _of_legacy_tls(table: DeviceTable, description: DriverDescription) -> str:
    if description.is_agent:
        name = description.name
        return f"has no effect: {name} speaks TLS itself; use its options (fenced agents {name})"
    if not description.speaks_tls or table.address.startswith("http://"):
        return "has no effect: this device is reached without TLS"
    return (
        "accepts TLS 1.0, 1.1, RSA key exchange and weak keys: recorded traffic may give the password away later, and "
        "a machine in between can force the weakest. Use it only for a BMC that offers nothing better, on a separate "
        "network"
    )
