"""Keys of a device that loosen what we ask of it: what is told of each, and where it means nothing.

Knows what drivers say of themselves, none by name. One rule: what makes us believe more, or hide less, is never silent.
"""

from collections.abc import Iterator

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, warning
from fenced.config.inventory_tables import DeviceTable
from fenced.config.option_shapes import PINNED_THERE
from fenced.model.drivers import DriverDescription
from fenced.model.inventory import Tls


def check(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Warnings alone: a person said so."""
    for device in built.devices:
        yield from _of_device(device)


def _of_device(device: BuiltDevice) -> Iterator[Finding]:
    table, where, description = device.entry.table, device.entry.where, device.description
    if description is None:
        return
    if not table.check_ready:
        yield warning(
            where.key("check_ready"),
            "the device is believed though it says that it has just started, when some read OFF of a host that runs: only "
            "for one that always says so"
            if description.can_tell_ready
            else f"has no effect: {description.name} does not look whether a device is ready",
        )
    if table.tls == Tls.LEGACY.value and table.credential:
        yield warning(where.key("tls"), PINNED_THERE, value=table.tls)
    elif table.tls == Tls.LEGACY.value:
        yield warning(where.key("tls"), _of_legacy_tls(table, description), value=table.tls)


def _of_legacy_tls(table: DeviceTable, description: DriverDescription) -> str:
    if description.is_agent:
        name = description.name
        return f"has no effect: {name} speaks TLS itself, with options of its own (fenced agents {name})"
    if not description.speaks_tls or table.address.startswith("http://"):
        return "has no effect: no TLS is spoken with this device"
    return (
        "TLS 1.0, 1.1, RSA key exchange and weak keys are accepted: who records the password now may read it later, and who "
        "is between may talk both sides down. Only for a BMC that offers no better, on a network of its own"
    )
