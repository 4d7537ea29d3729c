"""Finds the system resource of the host: the only one, the one that options name, or the one with the right identity.

It never guesses: if two systems match, or another machine answers, it raises an error with the list, and no command is
sent.
"""

from dataclasses import dataclass
from typing import Final

from fenced.drivers.redfish.answers import Json, link, links, resource
from fenced.drivers.redfish.exchange import Exchange
from fenced.drivers.redfish.sessions import ROOT
from fenced.drivers.redfish.target import bad, inside
from fenced.drivers.redfish.vendors import identities
from fenced.model.identity import is_same_machine
from fenced.model.inventory import DeviceSpec
from fenced.ports.devices import DeviceError, WrongMachine

SYSTEMS: Final = "/redfish/v1/Systems"
MEMBERS_MAX: Final = 256
PAGES_MAX: Final = 16
LISTED_MAX: Final = 20
REMEMBERED_MAX: Final = 100_000
"""Limit for remembered paths, one per BMC and system."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`identity`: the identity or Id by which it was found, else "".

    It is checked again, since a slot's blade may change.
    """

    path: str
    identity: str = ""


class Systems:
    """Reads the system of a device. Remembers paths, not contents."""

    def __init__(self) -> None:
        self._found: dict[Key, Found] = {}

    async def read(self, exchange: Exchange, spec: DeviceSpec) -> Json:
        """Return the system resource of the machine with `identity`. Raises DeviceError, WrongMachine."""
        option = str(spec.options.get("system", ""))
        key = (str(exchange.target.base), option, spec.identity)
        remembered = self._found.get(key)
        if remembered is not None:
            system = await self._read(exchange, remembered)
            if system is not None and "PowerState" in system:
                _check_machine(exchange, spec.identity, system)
                return system
            del self._found[key]  # a new BMC, other firmware, a blade that moved, or a list that was briefly wrong
        found = await _find(exchange, option, spec.identity)
        system = await self._read(exchange, found)
        if system is None:
            shown = exchange.target.shown(found.path)
            raise bad(f"{exchange.target.base} has no system {option or shown}; set options.system to one it has")
        _check_machine(exchange, spec.identity, system)
        if len(self._found) >= REMEMBERED_MAX:
            self._found.clear()
        self._found[key] = found
        return system

    async def _read(self, exchange: Exchange, found: Found) -> Json | None:
        """Return the system at this path; None if it is gone or another one is there."""
        answer = await exchange.get(found.path)
        if answer.status == 404:
            return None
        system = resource(exchange.target, answer, found.path)
        if found.identity and not _is_meant(found.identity, system):
            return None
        return system


async def _find(exchange: Exchange, option: str, identity: str) -> Found:
    """Find the system. Raises DeviceError; BadParameters with the names of all systems if the choice is not clear."""
    if option.startswith("/"):
        return Found(path=inside(exchange.target, option).raw_path)
    paths, is_whole = await _members(exchange)
    named = [path for path in paths if option and _name(path) == option]
    if len(named) == 1:
        return Found(path=named[0])
    if not option and len(paths) == 1 and is_whole:
        return Found(path=paths[0])
    base, names = exchange.target.base, _names(exchange, paths, is_whole=is_whole)
    wanted = option or identity
    if not wanted or not paths:
        raise bad(f"{base} has {len(paths)} systems ({names}); set options.system to the host's")
    matching = await _matching(exchange, paths, wanted)
    if len(matching) == 1:
        return Found(path=matching[0], identity=wanted)
    if not matching and not option:
        raise WrongMachine(f"{base}: none of its systems ({names}) is {identity}", may_be_done=False)
    what = "no system" if not matching else f"{len(matching)} systems"
    raise bad(f"{base} has {what} {wanted}; it has {names}")


async def _members(exchange: Exchange) -> tuple[list[str], bool]:
    """Return the paths of all systems, page by page (DSP0266, paging), and whether every listed system has a path."""
    root = resource(exchange.target, await exchange.get(ROOT), ROOT)
    page: str | None = link(root.get("Systems")) or SYSTEMS
    paths: list[str] = []
    is_whole = True
    for _ in range(PAGES_MAX):
        if page is None:
            break
        collection = resource(exchange.target, await exchange.get(page), page)
        members = collection.get("Members")
        found = links(members, most=MEMBERS_MAX + 1)
        is_whole = is_whole and (not isinstance(members, list) or len(found) >= min(len(members), MEMBERS_MAX + 1))
        paths += found
        following = collection.get("Members@odata.nextLink")
        page = following if isinstance(following, str) and following else None
    paths = list(dict.fromkeys(paths))
    if page is not None or len(paths) > MEMBERS_MAX:
        raise DeviceError(f"{exchange.target.base} lists more than {MEMBERS_MAX} systems", may_be_done=False)
    return paths, is_whole


async def _matching(exchange: Exchange, paths: list[str], wanted: str) -> list[str]:
    """Return the systems of that machine. Raises DeviceError if none matches and one could not be read."""
    matching, unread = [], []
    for path in paths:
        answer = await exchange.get(path)
        if answer.status != 200 or not answer.body:
            unread.append((path, answer))
        elif _is_meant(wanted, answer.body):
            matching.append(path)
    if not matching and unread:
        resource(exchange.target, unread[0][1], unread[0][0])
    return matching


def _is_meant(wanted: str, system: Json) -> bool:
    """Return whether the system is that machine, or has that Id, which may differ from the end of its path."""
    told = system.get("Id")
    return (isinstance(told, str) and told.strip() == wanted.strip()) or is_same_machine(wanted, identities(system))


def _check_machine(exchange: Exchange, identity: str, system: Json) -> None:
    """Raise WrongMachine, or DeviceError if the BMC does not report which machine it belongs to."""
    if not identity:
        return
    told = identities(system)
    base = exchange.target.base
    if not told:
        raise DeviceError(
            f"{base} does not report which machine it belongs to, so it may not be {identity}; "
            "correct `identity` or remove it",
            may_be_done=False,
        )
    if not is_same_machine(identity, told):
        given = exchange.target.shown(", ".join(told))
        raise WrongMachine(
            f"{base} belongs to {given}, not to {identity}; check cables and addresses", may_be_done=False
        )


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _names(exchange: Exchange, paths: list[str], *, is_whole: bool) -> str:
    more = f", and {len(paths) - LISTED_MAX} more" if len(paths) > LISTED_MAX else ""
    more += "" if is_whole else ", and others without a path"
    shown = [exchange.target.shown(_name(path), characters_max=80) for path in paths[:LISTED_MAX]]
    return (", ".join(shown) or "none") + more
