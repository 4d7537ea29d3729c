"""Decides whether two plugs are one, across drivers and spellings: the same, possibly the same, or two (S4).

Compares plugs in their drivers' normal form: a number as a number, a Redfish system by its last name. Knows no host and
no file. The ids under which tokens are stored come from `plugs` and do not depend on this.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from fenced.config.plugs import Plug
from fenced.model.addresses import is_loopback
from fenced.model.identity import is_uuid, one_spelling

SYSTEM_OPTIONS: Final = frozenset({"system", "systems_uri", "systems-uri", "module_name"})
"""Where one address is usually one host, these options choose one of several."""
_CHAINED: Final = re.compile(r"(\d+(?::\d+)?):(\d+)")
_NUMBER: Final = re.compile(r"\d+")


class Likeness(IntEnum):
    """How alike two plugs are; the least of several parts decides."""

    APART = 0
    POSSIBLY = 1
    SAME = 2


class Word(IntEnum):
    """The kind of an outlet's name: different names of one kind are two outlets."""

    NONE = 0
    NUMBER = 1
    UUID = 2
    NAME = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One outlet, blade or system in its normal form. `text`: "" for Word.NONE. `unit`: of a chain (and its feed);
    None: the first. `index`: the number that the unit uses; `objects`: the SNMP objects that the operator gave for it.

    `is_system`: named by an option that the driver surely reads; a BMC's agent may ignore its `plug`.
    """

    word: Word
    text: str = ""
    unit: tuple[int, ...] | None = None
    is_system: bool = False
    index: str = ""
    objects: frozenset[str] = frozenset()

    @property
    def words(self) -> frozenset[tuple[Word, str]]:
        """Two outlets without a common one of these can't be the same by name."""
        return frozenset({self.loosely, (self.word, self.index)} if self.index else {self.loosely})

    @property
    def loosely(self) -> tuple[Word, str]:
        """Equal for all outlets that could be the same by name."""
        return self.word, self.text.casefold() if self.word is Word.NAME else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One outlet of one device, ready to be compared with others of its unit.

    `qualifiers`: by name, in one spelling. `has_identity`: the device searches for the machine of an identity, so
    that an unnamed system may be any.
    """

    plug: Plug
    outlet: Outlet
    qualifiers: Mapping[str, str]
    has_identity: bool

    @property
    def way(self) -> tuple[object, ...]:
        """How the outlet is named. Two places of one way are the same exactly if their names are."""
        plug, outlet = self.plug, self.outlet
        word = outlet.word
        said: object = word
        if plug.description.is_one_plug and word is not Word.NONE:
            said = (word, _shape(outlet) if outlet.is_system else outlet.text)
        port = "" if plug.is_usual_port else plug.port
        return plug.family, port, said, tuple(sorted(self.qualifiers.items())), plug.first_unit, self.counted

    @property
    def counted(self) -> tuple[object, ...]:
        """How the operator says that outlets are counted; empty where the driver knows."""
        return (self.plug.objects, self.plug.offset) if self.plug.objects else ()


def places(plug: Plug, *, has_identity: bool) -> tuple[Place, ...]:
    """Return one place for each outlet of the plug."""
    qualifiers = dict(plug.qualifiers)
    systems = [qualifiers.pop(name) for name in SYSTEM_OPTIONS if plug.description.is_one_plug and name in qualifiers]
    unit = qualifiers.pop("switch", "").strip()
    outlets = (
        [_outlet(systems[0], None, is_system=True)]
        if systems
        else [
            _counted(_outlet(text, (int(unit),) if unit.isdecimal() else None, is_system=False), plug)
            for text in plug.outlets
        ]
    )
    spelled = {_spelled(name): value for name, value in qualifiers.items()}
    return tuple(Place(plug=plug, outlet=outlet, qualifiers=spelled, has_identity=has_identity) for outlet in outlets)


def likeness(one: Place, other: Place) -> Likeness:
    """Compare two places whose units share an address, or have none. Only what is configured is compared."""
    if one.plug.family == other.plug.family:
        parts = (_of_ports(one, other), _of_outlets(one, other), _of_qualifiers(one, other))
    elif not one.plug.address or not other.plug.address:
        return Likeness.APART
    else:
        parts = (_of_services(one, other), _of_outlets_of_two(one, other), _of_qualifiers(one, other))
    return min(parts)


def _counted(outlet: Outlet, plug: Plug) -> Outlet:
    """Return the outlet with the index and objects that the operator gave."""
    if outlet.word is not Word.NUMBER or not plug.objects:
        return outlet
    index = str(int(outlet.text) + plug.offset)
    whole = ".".join((*map(str, outlet.unit or ()), index))
    return replace(outlet, index=index, objects=frozenset(name.replace("{plug}", whole) for name in plug.objects))


def _outlet(text: str, unit: tuple[int, ...] | None, *, is_system: bool) -> Outlet:
    text = text.strip()
    if is_system:
        text = text.rstrip("/").rpartition("/")[2]
    chained = _CHAINED.fullmatch(text)
    if chained:
        return Outlet(word=Word.NUMBER, text=_plain(chained[2]), unit=_numbers(chained[1]), is_system=is_system)
    if _NUMBER.fullmatch(text):
        return Outlet(word=Word.NUMBER, text=_plain(text), unit=unit, is_system=is_system)
    if is_uuid(text):
        return Outlet(word=Word.UUID, text=one_spelling(text), is_system=is_system)
    return Outlet(word=Word.NAME if text else Word.NONE, text=text, unit=unit, is_system=is_system)


def _spelled(name: str) -> str:
    """Return one spelling: agents accept - for _, and some ignore case."""
    return name.replace("-", "_").lower()


def _telling(plug: Plug) -> set[str]:
    """Return the options that distinguish plugs of one name; others, such as a timeout, may differ for one plug."""
    description = plug.description
    return {_spelled(name) for name in (*description.qualifiers, *description.plug_options, *description.apart_options)}


def _loosely(value: str) -> str:
    """Equal for values that may be the same: numbers in any base, names in any case."""
    try:
        return str(int(value, 0))
    except ValueError:
        return value.strip().casefold()


def _numbers(chain: str) -> tuple[int, ...]:
    return tuple(int(number) for number in chain.split(":"))


def _plain(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _is_on_loopback(*places: Place) -> bool:
    return any(is_loopback(place.plug.address) for place in places)


def _of_ports(one: Place, other: Place) -> Likeness:
    """Two explicit ports are two services, as behind a gateway; a default port may be another way to one."""
    first, second = one.plug, other.plug
    are_usual = first.is_usual_port, second.is_usual_port
    if first.port == second.port or all(are_usual):
        return Likeness.SAME
    return Likeness.POSSIBLY if any(are_usual) and not _is_on_loopback(one, other) else Likeness.APART


def _of_services(one: Place, other: Place) -> Likeness:
    """Two drivers on their default ports speak to one unit; behind other ports there may be other machines."""
    if one.plug.is_usual_port and other.plug.is_usual_port:
        return Likeness.SAME
    return Likeness.APART if _is_on_loopback(one, other) else Likeness.POSSIBLY


def _of_outlets(one: Place, other: Place) -> Likeness:
    """Compare outlets of one driver, or of two that use the same names."""
    first, second = one.outlet, other.outlet
    if one.counted != other.counted or first.objects & second.objects:
        return _of_counts(one, other)
    if first.loosely == second.loosely:
        return min(_of_units(one, other), Likeness.SAME if first.text == second.text else Likeness.POSSIBLY)
    if one.plug.description.is_one_plug or other.plug.description.is_one_plug:
        return _of_systems(one, other)
    return Likeness.APART if first.word is second.word else Likeness.POSSIBLY


def _of_counts(one: Place, other: Place) -> Likeness:
    """Compare outlets that may be counted differently: without objects a number is the one on the housing, with objects
    an index. Different numbers may be one outlet.
    """
    first, second = one.outlet, other.outlet
    if first.objects & second.objects:
        return Likeness.SAME
    is_same = first.index == second.index if one.counted and other.counted else first.loosely == second.loosely
    return max(Likeness.POSSIBLY, _of_units(one, other)) if is_same else Likeness.POSSIBLY


def _of_systems(one: Place, other: Place) -> Likeness:
    """Compare two systems behind one BMC. Without a name there is only one, or the identity chooses it."""
    for place in (one, other):
        if place.outlet.word is Word.NONE:
            return Likeness.POSSIBLY if place.has_identity else Likeness.SAME
    are_read = one.outlet.is_system and other.outlet.is_system
    return Likeness.APART if are_read and _shape(one.outlet) == _shape(other.outlet) else Likeness.POSSIBLY


def _of_units(one: Place, other: Place) -> Likeness:
    first, second = one.outlet.unit, other.outlet.unit
    if first == second:
        return Likeness.SAME
    if first is not None and second is not None:
        return Likeness.APART
    place, given = (one, second or ()) if first is None else (other, first)
    if place.plug.first_unit is None:
        return Likeness.POSSIBLY if set(given) <= {0, 1} else Likeness.APART
    return Likeness.SAME if set(given) == {place.plug.first_unit} else Likeness.APART


def _of_outlets_of_two(one: Place, other: Place) -> Likeness:
    """Compare outlets of two drivers with different names: only outlet numbers mean the same to both."""
    first, second = one.outlet, other.outlet
    if one.plug.description.is_one_plug != other.plug.description.is_one_plug:
        return Likeness.POSSIBLY
    if one.counted != other.counted:
        return _of_counts(one, other)
    if first.loosely == second.loosely:
        return min(_of_units(one, other), Likeness.SAME if first.text == second.text else Likeness.POSSIBLY)
    are_numbers = first.word is second.word is Word.NUMBER and not one.plug.description.is_one_plug
    return Likeness.APART if are_numbers else Likeness.POSSIBLY


def _of_qualifiers(one: Place, other: Place) -> Likeness:
    """Options that distinguish plugs must be equal; others may differ for one plug.

    An option that only one device sets may be the other's default.
    """
    first, second = one.qualifiers, other.qualifiers
    differing = {key for key in first.keys() & second.keys() if first[key] != second[key]}
    if not differing:
        return Likeness.SAME if first.keys() == second.keys() else Likeness.POSSIBLY
    telling = differing & _telling(one.plug) & _telling(other.plug)
    are_sure = any(_loosely(first[key]) != _loosely(second[key]) for key in telling)
    return Likeness.APART if are_sure and one.plug.family == other.plug.family else Likeness.POSSIBLY


def _shape(outlet: Outlet) -> str:
    """`Node1` and `Node2` are names of one kind, `1` and `CZ3211` are not. All UUIDs are of one kind."""
    return "uuid" if outlet.word is Word.UUID else _NUMBER.sub("#", outlet.text)
