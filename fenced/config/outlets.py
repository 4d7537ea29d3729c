"""Levels that could never be proven off, and plugs that are not what they seem: shared by two hosts, or by both feeds.

Knows no proxy. One rule: addresses are compared as what they resolve to; what does not resolve is compared as text.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.mistakes import Mistakes, Where
from fenced.config.plugs import Plug, is_name
from fenced.config.resolve import Resolver
from fenced.model.power import Kind

Key = tuple[str, ...]


def check_kinds(built: BuiltHost, mistakes: Mistakes) -> None:
    """A level is all outlets or all chassis, unless the chassis keeps its own power."""
    for level in built.host.levels:
        devices = [
            device
            for device in built.devices
            if device.device.level == level and device.is_sure_of_kind and device.entry.is_sure_of("level", "standby")
        ]
        outlets = [device for device in devices if device.device.kind is Kind.OUTLET]
        chassis = [
            device for device in devices if device.device.kind is Kind.CHASSIS and not device.device.is_standby_separate
        ]
        if outlets and chassis:
            mistakes.error(
                chassis[0].entry.where.key("level"),
                f"a chassis and an outlet ({outlets[0].device.name}) in one level: without the outlet the chassis "
                'can\'t be read. Give them different levels, or say standby = "separate" if it has its own power',
                value=level,
                unit="level",
            )


def check_plugs(hosts: Iterable[BuiltHost], resolve: Resolver, main: Where, mistakes: Mistakes) -> None:
    """No plug serves two hosts, and no two devices of one level are one plug."""
    hosts = list(hosts)
    addresses = _resolved(hosts, resolve, main, mistakes)
    _check_between_hosts(hosts, addresses, mistakes)
    for built in hosts:
        _check_within_host(built, addresses, mistakes)


def _check_between_hosts(hosts: list[BuiltHost], addresses: Mapping[str, str], mistakes: Mistakes) -> None:
    users: dict[Key, tuple[BuiltHost, BuiltDevice]] = {}
    for built in hosts:
        for device, plug in _plugs(built):
            for key in plug.keys(addresses):
                user, other = users.setdefault(key, (built, device))
                # A host that is given twice, whole, is one mistake.
                if user is not built and (user.host.name != built.host.name or not built.host.name):
                    mistakes.error(
                        device.entry.where,
                        f"the same plug as {user.host.name}, {other.device.name} ({other.entry.where}): "
                        "switching one host off would switch the other off",
                        value=plug.plug_id,
                        unit="plug",
                    )


def _check_within_host(built: BuiltHost, addresses: Mapping[str, str], mistakes: Mistakes) -> None:
    plugs = _plugs(built)
    for index, (device, plug) in enumerate(plugs):
        for other, its_plug in plugs[:index]:
            if _are_two_feeds(device, other) and _is_same(plug, its_plug, addresses):
                mistakes.error(
                    device.entry.where,
                    f"the same plug as {other.device.name}: two devices of a level must be two feeds",
                    value=plug.plug_id,
                    unit="plug",
                )
                break


def _are_two_feeds(one: BuiltDevice, other: BuiltDevice) -> bool:
    """Two devices of one level; not where a level was refused, nor for one device that is given twice."""
    is_sure = one.entry.is_sure_of("level") and other.entry.is_sure_of("level")
    are_two = one.device.name != other.device.name or not one.device.name
    return is_sure and are_two and one.device.level == other.device.level


def _is_same(one: Plug, other: Plug, addresses: Mapping[str, str]) -> bool:
    """Within a host, also when two different drivers reach the same outlet, each on its usual port."""
    if one.family == other.family:
        return bool(set(one.keys(addresses)) & set(other.keys(addresses)))
    if not one.address or one.has_own_port or other.has_own_port:
        return False
    is_same_address = addresses.get(one.address, one.address) == addresses.get(other.address, other.address)
    return is_same_address and bool(set(one.outlets) & set(other.outlets))


def _plugs(built: BuiltHost) -> list[tuple[BuiltDevice, Plug]]:
    return [(device, device.plug) for device in built.devices if device.plug is not None]


def _resolved(hosts: list[BuiltHost], resolve: Resolver, main: Where, mistakes: Mistakes) -> dict[str, str]:
    """Name -> one address for all names that resolve to it. Only names that could make a difference are asked for."""
    groups: dict[Key, set[str]] = defaultdict(set)
    for built in hosts:
        for _, plug in _plugs(built):
            for outlet in plug.outlets:
                groups[plug.family, plug.port, plug.qualifier, outlet].add(plug.address)
                groups["", built.host.name, outlet].add(plug.address)
    asked = {address for group in groups.values() if len(group) > 1 for address in group if is_name(address)}
    if not asked:
        return {}
    answers = resolve(asked)
    silent = len(asked) - len(answers)
    if silent:
        mistakes.warning(
            main,
            f"{silent} of {len(asked)} names of power devices did not resolve in time; they were compared as text",
            value=min(asked - answers.keys()),
            unit="name",
        )
    return {name: min(found) for name, found in answers.items() if found}
