"""Whether anybody compares the identity that a host or a device is given, and whether it is one host's. Reads none.

Knows no driver by name. One rule: an identity that nobody would compare is worse than none, and is a mistake.
"""

from collections.abc import Iterator

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, warning
from fenced.model.identity import one_spelling
from fenced.model.power import Kind


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Somebody must be able to compare; what outlets are asked is passed over."""
    able = draft.identifying
    chassis = [device for device in built.devices if device.device.kind is Kind.CHASSIS or not device.is_sure_of_kind]
    who = f"a driver that can is {' or '.join(able)}" if able else "no driver can"
    if built.host.identity and not any(map(_may_compare, chassis)):
        yield error(
            built.entry.where.key("identity"),
            f"none of the host's chassis drivers can read what machine it is: it would not be checked; {who}",
            value=built.host.identity,
            unit="identity",
            rests_on=keys(built.entry, "device"),
        )
    for device in built.devices:
        given = device.entry.table.identity
        if given and device not in chassis:
            yield warning(device.entry.where.key("identity"), "has no effect: an outlet can't tell", value=given)
            continue
        if given and not _may_compare(device):
            yield error(
                device.entry.where.key("identity"),
                f"{device.device.spec.driver} can't read what machine it is: it would not be checked; {who}",
                value=given,
                unit="identity",
            )


def between_hosts(draft: Draft) -> Iterator[Finding]:
    """One machine is one host: two that are given one identity, in whatever spelling, are a mistake."""
    owners: dict[str, BuiltHost] = {}
    for built in draft.hosts:
        given = [(built.host.identity, built.entry.where)] + [
            (device.entry.table.identity, device.entry.where) for device in built.devices
        ]
        for identity, where in given:
            spelling = one_spelling(identity)
            owner = owners.setdefault(spelling, built) if spelling else built
            # A host that is given twice, whole, is one mistake.
            if owner is not built and (owner.host.name != built.host.name or not built.host.name):
                yield error(
                    where.key("identity"),
                    f"is also that of {owner.host.name} ({owner.entry.where}): one machine can't be two hosts",
                    value=identity,
                    unit="identity",
                )


def _may_compare(device: BuiltDevice) -> bool:
    """Also where nothing is known of the driver: that was told."""
    return device.description is None or device.description.can_identify
