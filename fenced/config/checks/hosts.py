"""Checks for hosts at all, for power devices with effective keys, and for addresses to probe."""

from collections.abc import Iterator

from fenced.config.build import BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, once_for_all, warning
from fenced.model.power import Kind

OF_THE_HOST = ("operation_timeout", "restore_timeout", "already_off_hold")
"""Keys of [power] that hold for a whole host and not for one of its devices."""


def any_host(draft: Draft) -> Iterator[Finding]:
    if not draft.hosts and draft.entries.is_whole:
        files = draft.where.key("inventory").key("files")
        yield warning(
            draft.where, "there is no host, so there is nothing to watch: add [[host]] tables", rests_on=(files,)
        )


def power(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Warn of a host without a power device, and of keys of devices without effect."""
    if not built.devices:
        yield warning(
            built.entry.where, "has no power device: it can't be fenced", rests_on=keys(built.entry, "device")
        )
    if built.host.is_drill and built.host.is_protected:
        yield warning(
            built.entry.where.key("drill"),
            "has no effect: a protected host is not drilled either",
            value=True,
            rests_on=keys(built.entry, "protected"),
        )
    for device in built.devices:
        entry, table = device.entry, device.entry.table
        if table.standby and device.device.kind is Kind.OUTLET:
            yield error(
                entry.where.key("standby"),
                "only a chassis can have standby power of its own",
                value=table.standby,
                rests_on=keys(entry, "kind") if table.kind else keys(entry, "kind", "driver"),
            )
        for key in OF_THE_HOST:
            if key in table.model_fields_set:
                yield warning(entry.where.key(key), "has no effect here: set it for the whole host", unit="duration")


def addresses(draft: Draft) -> Iterator[Finding]:
    """Warn once of the hosts that nothing can probe before they are switched off."""
    answering = {proxy.machine for proxy in draft.inventory.proxies.values()}
    for built in draft.hosts:
        host = built.host
        if built.devices and not host.networks and host.name not in answering and not host.is_own_machine:
            yield warning(
                built.entry.where,
                "has no address: when it is silent, nothing can probe whether it is alive before it is switched off",
                value=built.entry.table.name,
                unit="address",
                rests_on=keys(built.entry, "address", "addresses"),
                once=once_for_all("hosts"),
            )
