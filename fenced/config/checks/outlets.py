"""Checks levels that could never be proven off, and plugs that two hosts or two feeds share.

`likeness` decides whether two plugs are one. Addresses are compared after resolving names; a name
that does not resolve is compared as text.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, warning
from fenced.config.checks.likeness import Likeness, Place, likeness, places
from fenced.config.checks.units import Units
from fenced.config.mistakes import Where
from fenced.model.names import MAIN_SHARD
from fenced.model.power import Kind

WAYS_MAX: Final = 32
"""Compare at most this many ways to name outlets of one unit with each other; further ones only by name."""


def kinds(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """A level is all outlets or all chassis, unless the chassis has standby power of its own."""
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
            yield error(
                chassis[0].entry.where.key("level"),
                f"a chassis and an outlet ({outlets[0].device.name}) on one level: once the outlet is off, the chassis "
                "can't be read. Put them on different levels, or set "
                'standby = "separate" if the chassis has standby power',
                value=level,
                unit="level",
                rests_on=(*keys(chassis[0].entry, "standby"), *keys(outlets[0].entry, "level")),
            )


def feeds(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Warn of outlets on several levels: right if each level cuts all power, fatal if they are feeds of one host."""
    outlets = [
        device
        for device in built.devices
        if device.device.kind is Kind.OUTLET and device.is_sure_of_kind and device.entry.is_sure_of("level")
    ]
    levels = sorted({device.device.level for device in outlets})
    if len(levels) > 1:
        last = next(device for device in outlets if device.device.level == levels[-1])
        others = ", ".join(f"{it.device.name} on {it.device.level}" for it in outlets if it is not last)
        yield warning(
            last.entry.where.key("level"),
            f"outlets of {built.host.name} on several levels ({others}): it is announced as fenced when those of one "
            "level are off, so each level must cut all its power. Put outlets that feed it together on one level",
            value=levels[-1],
            unit="level",
            rests_on=tuple(device.entry.where.key("level") for device in outlets),
        )


def plugs(draft: Draft) -> Iterator[Finding]:
    """Report a plug that serves two hosts, and two devices of one level on one plug."""
    shard_of = draft.inventory.shard_of if draft.are_shards_sure else lambda host: MAIN_SHARD
    hosts = [(built, _places(built)) for built in draft.hosts]
    users = [
        _User(built=built, device=device, place=place, shard=shard_of(built.host))
        for built, outlets in hosts
        for device, place in outlets
    ]
    units = Units((user.place.plug for user in users), draft.addresses)
    by_unit: dict[str, list[_User]] = defaultdict(list)
    for user in users:
        by_unit[units.of(user.place.plug)].append(user)
    for unit in by_unit.values():
        if len(unit) > 1:
            yield from _Unit(users=unit).between_hosts()
    for _, outlets in hosts:
        yield from _within_host(outlets, units)


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    """One outlet of one device of one host, which is decided in this shard."""

    built: BuiltHost
    device: BuiltDevice
    place: Place
    shard: str

    def is_of_another_host(self, other: "_User") -> bool:
        """A duplicate of a whole host is reported once, as that."""
        name = self.built.host.name
        return self.built is not other.built and (name != other.built.host.name or not name)

    @property
    def words(self) -> str:
        return f"{self.built.host.name}, {self.device.device.name} ({self.device.entry.where})"


@dataclass(slots=True, kw_only=True)
class _Unit:
    """All outlets of one unit.

    Compare each outlet with those of its name, and in each shard one outlet of each way to name them with one of each
    other way, so that the comparisons grow only with the number of outlets.
    """

    users: list[_User]
    _compared: set[tuple[int, int]] = field(default_factory=set)
    _told: set[tuple[int, int]] = field(default_factory=set)

    def between_hosts(self) -> Iterator[Finding]:
        """Report each outlet that another host uses, and once that some may be the same."""
        possible: list[tuple[_User, _User]] = []
        for user, other in (*self._of_one_word(), *self._of_two_ways()):
            if (id(user), id(other)) in self._compared:
                continue
            self._compared.add((id(user), id(other)))
            alike = likeness(user.place, other.place)
            if alike is Likeness.SAME:
                yield from self._same(user, other)
            elif alike is Likeness.POSSIBLY:
                possible.append((user, other))
        yield from _possibly([pair for pair in possible if pair[0].shard != pair[1].shard])
        yield from _possibly([pair for pair in possible if pair[0].shard == pair[1].shard])

    def _same(self, user: _User, other: _User) -> Iterator[Finding]:
        """Report two devices once, however many outlets they share."""
        devices = id(user.device), id(other.device)
        if devices not in self._told:
            self._told.add(devices)
            yield error(
                user.device.entry.where,
                f"the same plug as {other.words}: switching one host off would switch the other off",
                value=user.place.plug.plug_id,
                unit="plug",
                rests_on=_rests_on(user.device, other.device),
            )

    def _of_one_word(self) -> Iterator[tuple[_User, _User]]:
        """Yield each outlet with the first one of each shard and way before it that has the same name."""
        firsts: dict[object, dict[object, _User]] = defaultdict(dict)
        for user in self.users:
            outlet = user.place.outlet
            for word in sorted(outlet.words):
                known = firsts[word]
                for other in itertools.islice(known.values(), WAYS_MAX):
                    if user.is_of_another_host(other):
                        yield user, other
                known.setdefault((user.shard, user.place.way, outlet.unit, outlet.text), user)

    def _of_two_ways(self) -> Iterator[tuple[_User, _User]]:
        """Yield one outlet of each shard and way with one of each other, if they belong to two hosts."""
        ways: dict[object, list[_User]] = {}
        if not self.users[0].place.plug.address:
            return  # without an address each plug is a unit of its own
        for user in self.users:
            first = ways.setdefault((user.shard, user.place.way), [user])
            if len(first) == 1 and user.is_of_another_host(first[0]):
                first.append(user)
        for some, others in itertools.combinations(itertools.islice(ways.values(), WAYS_MAX), 2):
            pair = next(((b, a) for a in some for b in others if b.is_of_another_host(a)), None)
            if pair is not None:
                yield pair


def _possibly(pairs: Sequence[tuple[_User, _User]]) -> Iterator[Finding]:
    """Report once what may be one plug, all pairs within shards or all across: then it is a mistake.

    Within a shard, two devices that read one machine's identity are noticed, and neither is believed. No shard sees
    what another one reads, so one could announce a host as fenced whose power the other gives back.
    """
    if not pairs:
        return
    user, other = pairs[0]
    is_across = user.shard != other.shard
    otherwise = "put both hosts in one shard" if is_across else "make sure that they are two"
    more = f" (and {len(pairs) - 1} more pairs at this unit)" if len(pairs) > 1 else ""
    yield Finding(
        where=user.device.entry.where,
        is_error=is_across,
        reason=f"{user.built.host.name} may be on the same plug as {other.words}: both name an outlet of one unit in "
        f"ways that can't be compared. Name both in the same way, or {otherwise}{more}",
        value=user.place.plug.plug_id,
        unit="plug",
        rests_on=(*_rests_on(user.device, other.device), *_rests_on_shards(user, other)),
    )


def _within_host(outlets: Sequence[tuple[BuiltDevice, Place]], units: Units) -> Iterator[Finding]:
    """Report two devices of one level on one plug; `outlets`: of one host."""
    told: set[int] = set()
    for index, (device, place) in enumerate(outlets):
        for other, its in outlets[:index]:
            if id(device) in told or not _are_two_feeds(device, other) or not units.are_one(place.plug, its.plug):
                continue
            alike = likeness(place, its)
            if alike is Likeness.APART:
                continue
            told.add(id(device))
            yield Finding(
                where=device.entry.where,
                is_error=alike is Likeness.SAME,
                reason=f"{'' if alike is Likeness.SAME else 'may be '}the same plug as {other.device.name}: "
                "two devices of a level must be two feeds",
                value=place.plug.plug_id,
                unit="plug",
                rests_on=_rests_on(device, other),
            )


def _rests_on(*devices: BuiltDevice) -> tuple[Where, ...]:
    """Return the keys that identify the plug of each device."""
    return tuple(place for device in devices for place in keys(device.entry, "driver", "address", "options"))


def _rests_on_shards(one: _User, other: _User) -> tuple[Where, ...]:
    """Return the keys that put two hosts into two shards."""
    if one.shard == other.shard:
        return ()
    return (*keys(one.built.entry, "cluster"), *keys(other.built.entry, "cluster"))


def _are_two_feeds(one: BuiltDevice, other: BuiltDevice) -> bool:
    """Whether these are two devices of one level, as far as is known, and not one device given twice."""
    is_sure = one.entry.is_sure_of("level") and other.entry.is_sure_of("level")
    are_two = one.device.name != other.device.name or not one.device.name
    return is_sure and are_two and one.device.level == other.device.level


def _places(built: BuiltHost) -> list[tuple[BuiltDevice, Place]]:
    return [
        (device, place)
        for device in built.devices
        if device.plug is not None
        for place in places(device.plug, has_identity=bool(device.device.spec.identity))
    ]
