"""All hosts at one moment, the filters of an address, and the map: a link for every host.

The map is written here and not by a template, which takes ten times as long for ten thousand hosts. It is drawn once
for each version of the fleet, however many read it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Final
from urllib.parse import quote, urlencode

from fenced.core.durable.state import FenceableLevel
from fenced.model.power import State
from fenced.ports.control import Control
from fenced.ports.hosts import MappedHost

MAPS_MAX: Final = 16
PLAIN: Final = re.compile(r"[A-Za-z0-9._-]+")
FIRST_ODD: Final = MappedHost._fields.index("held_by")
CALM_REST: Final = ((), FenceableLevel.FULL, False, False, False)
"""What most hosts have from there on."""
SHOWN: Final[Mapping[str, str]] = {
    "trouble": "in trouble",
    "held": "held",
    "unfenceable": "can't be fenced",
    "paused": "paused",
    "maintenance": "in maintenance",
    "off": "stays off",
}
"""Values of the filter `show`, as people read them."""
CALM: Final = frozenset({State.HEALTHY, State.SLEEPING, State.MAINTENANCE})
"""States that nobody need look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the address asks for. Empty: everything."""

    name: str = ""
    state: str = ""
    cluster: str = ""
    rack: str = ""
    datacenter: str = ""
    show: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filter":
        """Read the query of an address. Other words are ignored, so that a link of another version still opens."""
        return cls(
            name=query.get("name", "").strip()[:253].lower(),
            state=query.get("state", "")[:32],
            cluster=query.get("cluster", "")[:253],
            rack=query.get("rack", "")[:253],
            datacenter=query.get("datacenter", "")[:253],
            show=query.get("show", "")[:32],
        )

    @property
    def words(self) -> dict[str, str]:
        """The parts that are set."""
        named = {"name": self.name, "state": self.state, "cluster": self.cluster, "rack": self.rack,
                 "datacenter": self.datacenter, "show": self.show}  # fmt: skip
        return {key: value for key, value in named.items() if value}

    def with_(self, **changes: str) -> str:
        """Return the address of this filter with changes."""
        words = {key: value for key, value in {**self.words, **changes}.items() if value}
        return f"/?{urlencode(words)}" if words else "/"

    def chooses(self, host: MappedHost) -> bool:
        """Return whether the host is shown."""
        return (
            self.name in host.name.lower()
            and self.state in ("", host.state.value)
            and self.cluster in ("", host.cluster)
            and self.rack in ("", host.rack)
            and self.datacenter in ("", host.datacenter)
            and is_shown(self.show, host)
        )


def is_shown(show: str, host: MappedHost) -> bool:
    match show:
        case "trouble":
            return is_in_trouble(host)
        case "held":
            return bool(host.held_by)
        case "unfenceable":
            return host.fenceable is FenceableLevel.NONE
        case "paused":
            return host.is_paused
        case "maintenance":
            return host.is_maintained
        case "off":
            return host.is_stay_off
        case _:
            return True


def is_in_trouble(host: MappedHost) -> bool:
    """Return whether a person should look at the host."""
    return host.state not in CALM or bool(host.held_by) or host.fenceable is FenceableLevel.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All hosts as they were at one version. `special`: how many hosts each word of `SHOWN` chooses; `troubled`: those
    that a person should look at."""

    version: str
    hosts: tuple[MappedHost, ...]
    states: Mapping[str, int]
    special: Mapping[str, int]
    clusters: tuple[str, ...]
    troubled: tuple[MappedHost, ...]

    @classmethod
    def of(cls, version: str, hosts: Iterable[MappedHost]) -> "Picture":
        """Look once at each host."""
        every = tuple(hosts)
        states = Counter(host.state.value for host in every)
        odd = [host for host in every if host[FIRST_ODD:] != CALM_REST or host.state is not State.HEALTHY]
        special = {show: sum(is_shown(show, host) for host in odd) for show in SHOWN}
        return cls(
            version=version, hosts=every, states=states, special=special,
            clusters=tuple(sorted({host.cluster for host in every if host.cluster})),
            troubled=tuple(host for host in odd if is_in_trouble(host)),
        )  # fmt: skip


@dataclass(slots=True)
class Pictures:
    """The last picture, and the maps that were drawn of it by filter, so that ten readers cost as much as one."""

    last: Picture | None = None
    maps: dict[Filter, str] = field(default_factory=dict)

    def now(self, control: Control) -> Picture:
        """Return the hosts as they are."""
        version = control.version()
        if self.last is None or self.last.version != version:
            self.last, self.maps = Picture.of(version, control.map()), {}
        return self.last

    def drawn(self, picture: Picture, chosen: Filter) -> str:
        """Return the map of the hosts that a filter chooses."""
        if picture is not self.last:
            return "".join(_map(chosen_of(picture, chosen)))
        if chosen not in self.maps:
            if len(self.maps) >= MAPS_MAX:
                self.maps.clear()
            self.maps[chosen] = "".join(_map(chosen_of(picture, chosen)))
        return self.maps[chosen]


def chosen_of(picture: Picture, chosen: Filter) -> Sequence[MappedHost]:
    """Return the hosts that a filter chooses."""
    return [host for host in picture.hosts if chosen.chooses(host)] if chosen.words else picture.hosts


def _map(shown: Iterable[MappedHost]) -> Iterator[str]:
    """Yield the map by data centre, cluster and rack."""
    ordered = sorted(shown, key=_place)
    for (datacenter, cluster, rack), group in groupby(ordered, key=_place):
        hosts = [*group]
        words = [word for word in (datacenter, cluster, rack) if word]
        title = " / ".join(escape(word) for word in words) or "hosts"
        links = "".join(square(host) for host in hosts)
        yield f"<section class=group><h3>{title} <small>{len(hosts)}</small></h3><p class=map>{links}</p></section>"


def _place(host: MappedHost) -> tuple[str, str, str]:
    return host.datacenter, host.cluster, host.rack


def square(host: MappedHost) -> str:
    """Return the link of one host: its colour is its state, its name is read by screen readers."""
    name = host.name if PLAIN.fullmatch(host.name) else escape(host.name)
    if host.state is State.HEALTHY and not host.held_by and host.fenceable is not FenceableLevel.NONE:
        return f'<a id="h-{name}" class=healthy href="/hosts/{name}">{name}</a>'
    state = host.state.value
    marks = (" held" if host.held_by else "") + (" weak" if host.fenceable is FenceableLevel.NONE else "")
    kind = f'"{state}{marks}"' if marks else state
    told = f"{state}{marks.replace('weak', 'not fenceable')}"
    return f'<a id="h-{name}" class={kind} href="/hosts/{quote(host.name)}">{name}, {told}</a>'
