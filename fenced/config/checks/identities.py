"""Checks identities (a BMC's UUID or serial number): a driver must be able to compare each, no two hosts share one.

Reads no device. An identity that no driver compares would protect nothing, so it is a mistake.
"""

from collections.abc import Iterator

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, warning
from fenced.model.identity import one_spelling
from fenced.model.power import Kind


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """A chassis driver must be able to compare the identity; outlets have none."""
    able = draft.identifying
    chassis = [device for device in built.devices if device.device.kind is Kind.CHASSIS or not device.is_sure_of_kind]
    who = f"use {' or '.join(able)}" if able else "no driver can"
    if built.host.identity and not any(map(_may_compare, chassis)):
        yield error(
            built.entry.where.key("identity"),
            f"none of the host's chassis drivers can read it, so it would never be compared; {who}",
            value=built.host.identity,
            unit="identity",
            rests_on=keys(built.entry, "device"),
        )
    for device in built.devices:
        given = device.entry.table.identity
        if given and device not in chassis:
            yield warning(
                device.entry.where.key("identity"), "has no effect: an outlet can't read an identity", value=given
            )
            continue
        if given and not _may_compare(device):
            yield error(
                device.entry.where.key("identity"),
                f"{device.device.spec.driver} can't read it, so it would never be compared; {who}",
                value=given,
                unit="identity",
            )


def between_hosts(draft: Draft) -> Iterator[Finding]:
    """Two hosts can't have one identity, whatever its spelling."""
    owners: dict[str, BuiltHost] = {}
    for built in draft.hosts:
        given = [(built.host.identity, built.entry.where)] + [
            (device.entry.table.identity, device.entry.where) for device in built.devices
        ]
        for identity, where in given:
            spelling = one_spelling(identity) if identity else ""
            owner = owners.setdefault(spelling, built) if spelling else built
            # A duplicate of a whole host is reported once, as that.
            if owner is not built and (owner.host.name != built.host.name or not built.host.name):
                yield error(
                    where.key("identity"),
                    f"is also the identity of {owner.host.name} ({owner.entry.where}): one machine can't be two hosts",
                    value=identity,
                    unit="identity",
                )


def _may_compare(device: BuiltDevice) -> bool:
    """Also for an unknown driver, which is reported already."""
    return device.description is None or device.description.can_identify
