"""`fencectl status` without a host: the daemon and its fleet on one page, with an exit status for monitoring.

The levels and exit statuses are those of monitoring plugins (Nagios, Icinga): 0 ok, 1 warning, 2 critical, 3 unknown.
With several addresses it asks each, and shows the fleet as the controller that acts sees it. `judged` is pure: answers
in, lines out.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NoReturn

import click

from fenced.cli.fencectl.client import Client, Refused, Unreachable
from fenced.cli.fencectl.session import Session
from fenced.model.moments import parse_rfc3339
from fenced.model.text import one_line, some

Json = Mapping[str, Any]
NAMES_MAX: Final = 8
MISSED: Final = 404
FORGOTTEN_SECONDS: Final = 7 * 86400.0
"""An offline controller that did not report for so long was taken away, and is no fault any more."""


class Level(IntEnum):
    """How bad it is; the value is the exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What is known beside the controller whose page is shown. `controllers`: of the store; empty: an older daemon.
    `readiness`: /readyz of the other addresses; `away`: addresses that do not answer, and why. `now`: wall time."""

    now: float = 0.0
    controllers: Sequence[Json] = ()
    readiness: Sequence[Json] = ()
    away: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> str:
        """The controllers that act, by the store."""
        return ", ".join(item["name"] for item in self.controllers if item["state"] == "active")


def show_overview(session: Session) -> NoReturn:
    """Print the page and exit with its level."""
    try:
        readiness, others, items = asked(session)
    except (Unreachable, Refused) as exc:
        level, why = Level.CRITICAL if isinstance(exc, Unreachable) else Level.UNKNOWN, str(exc)
        session.say({"level": level.name.lower(), "error": why}, lambda: [f"{level.name}: {why}"])
        raise click.exceptions.Exit(level) from exc
    level, lines = judged(readiness, items, others)
    answer = {"level": level.name.lower(), **readiness, "hosts": items}
    more = {"controllers": [*others.controllers], "others": [*others.readiness], "away": {**others.away}}
    session.say({**answer, **more}, lambda: lines)
    raise click.exceptions.Exit(level)


def asked(session: Session) -> tuple[Json, Others, list[dict[str, Any]]]:
    """Return /readyz of the controller that acts (or else of the first that answers), and all else. Raises Unreachable,
    Refused."""
    answered: list[tuple[Client, Json]] = []
    away: dict[str, str] = {}
    for client in session.client.listed:
        try:
            answered.append((client, client.readiness()))
        except Unreachable as exc:
            away[client.url] = str(exc)
    if not answered:
        raise Unreachable("; ".join(away.values()))
    answered.sort(key=lambda each: not each[1]["daemon"]["active"])
    chosen, readiness = answered[0]
    others = Others(
        now=time.time(),
        controllers=_controllers(chosen),
        readiness=[other for _, other in answered[1:]],
        away=away,
    )
    return readiness, others, chosen.items("hosts")


def _controllers(client: Client) -> list[dict[str, Any]]:
    """Return the controllers; none if the daemon is older and does not know."""
    try:
        return client.get("controllers")["items"]  # type: ignore[no-any-return]  # JSON
    except Refused as exc:
        if exc.status != MISSED:
            raise
        return []


def judged(readiness: Json, hosts: Sequence[Json], others: Others | None = None) -> tuple[Level, list[str]]:
    """Return the worst level, and the page: a line for a monitoring system, what is wrong, and the figures."""
    daemon, others = readiness["daemon"], others or Others()
    problems = [*_of_the_daemon(readiness, others), *_of_controllers(others), *_of_hosts(hosts)]
    level = max((found for found, _ in problems), default=Level.OK)
    states = Counter(host["state"] for host in hosts)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items(), key=lambda item: -item[1]))
    worst = next((text for found, text in problems if found is level), "all is well")
    lines = [one_line(f"{level.name}: {worst}; {len(hosts)} hosts{f': {counted}' if counted else ''}")]
    lines += [one_line(f"  {found.name.lower():<9} {text}") for found, text in problems]
    lines += [
        f"  daemon    {daemon['name']}, site {daemon['site']}, epoch {daemon['epoch']}",
        f"  armed     {'yes' if daemon['armed'] else _unarmed(daemon) or 'no'}",
        f"  bus       {'connected' if daemon['bus_connected'] else 'not connected'}",
        f"  lease     {'held' if daemon['active'] else 'not held'}",
        *_named_controllers(others),
        *_named_shards(daemon, others),
        f"  quiet     {'yes, no host is fenced automatically yet' if daemon['quiet'] else 'no'}",
        f"  held      {_named(hosts, lambda host: bool(host['held_by'])) or 'none'}",
        f"  no power device  {_counted(hosts, _has_no_device)}",
        f"  can't be fenced  {_named(hosts, _cannot_be_fenced) or 'none known'}",
    ]
    return level, lines


def _of_the_daemon(readiness: Json, others: Others) -> Iterator[tuple[Level, str]]:
    daemon = readiness["daemon"]
    is_standby = bool(daemon.get("standby")) and bool(others.active)
    for lacking in readiness["not_ready"]:
        yield Level.WARNING if is_standby else Level.CRITICAL, f"not ready: {lacking}"
    if daemon.get("standby") and not others.active:
        yield Level.CRITICAL, "no controller is active, so no host is fenced"
    elif not daemon["active"] and not is_standby:
        yield Level.CRITICAL, "the daemon does not hold the lease, so it fences no host"
    if daemon["store_held"]:
        yield Level.CRITICAL, f"automatic fencing is held: {daemon['store_held']}"
    for shard in _unheld(daemon, others):
        yield Level.CRITICAL, f"no controller holds shard {shard}, so none of its hosts is fenced"
    if not daemon["armed"]:
        where = _unarmed(daemon)
        how = "armed = false in its file" if not daemon["armed_by_file"] else "disarmed by an operator"
        yield Level.WARNING, f"{where or 'not armed'} ({how}): no power command is sent{' there' if where else ''}"
    for warning in readiness["warnings"]:
        yield Level.WARNING, warning


def _of_controllers(others: Others) -> Iterator[tuple[Level, str]]:
    """Yield what is wrong beside the controller that acts: each of it makes the next takeover slower or impossible."""
    for url, why in others.away.items():
        yield Level.WARNING, f"no answer from {url}: {why}"
    for readiness in others.readiness:
        name = readiness["daemon"]["name"]
        for lacking in readiness["not_ready"]:
            yield Level.WARNING, f"{name} is not ready: {lacking}"
        for warning in readiness["warnings"]:
            yield Level.WARNING, f"{name}: {warning}"
    for item in others.controllers:
        if item["state"] == "offline":
            if parse_rfc3339(item["heard"]) < others.now - FORGOTTEN_SECONDS:
                continue
            yield Level.WARNING, f"controller {item['name']} is offline: it last reported at {item['heard']}"
        elif not item["fit"]:
            yield Level.WARNING, f"controller {item['name']} is not fit: {'; '.join(item['unfit'])}"


def _named_controllers(others: Others) -> Iterator[str]:
    if len(others.controllers) > 1:
        named = [f"{item['name']} {item['state']}" for item in others.controllers]
        yield f"  controllers  {some(named, NAMES_MAX)}"


def _unarmed(daemon: Json) -> str:
    """Return which shards are not armed; "" if none of them is, or there is only one."""
    unarmed = [one["shard"] for one in daemon.get("shards", ()) if not one["armed"]]
    return f"not armed in shard {some(unarmed, NAMES_MAX)}" if len(unarmed) < len(daemon.get("shards", ())) else ""


def _unheld(daemon: Json, others: Others) -> list[str]:
    """Return the shards, of several, that no living controller holds, by the store."""
    held = _holders(others)
    shards = [one["shard"] for one in daemon.get("shards", ())]
    return [shard for shard in shards if shard not in held] if len(shards) > 1 and held else []


def _holders(others: Others) -> dict[str, str]:
    """Return the holder of each shard that one holds, as the store has it now."""
    active = [item for item in others.controllers if item["state"] == "active"]
    return {one["shard"]: item["name"] for item in active for one in item["shards"]}


def _named_shards(daemon: Json, others: Others) -> Iterator[str]:
    shards = daemon.get("shards", ())
    if len(shards) > 1:
        holders = _holders(others) or daemon["holders"]
        named = [f"{one['shard']} {holders.get(one['shard'], 'held by nobody')}" for one in shards]
        yield f"  shards    {some(named, NAMES_MAX)}"


def _of_hosts(hosts: Sequence[Json]) -> Iterator[tuple[Level, str]]:
    """Yield what is wrong with hosts, the worst first."""
    kinds: tuple[tuple[Level, str, Callable[[Json], bool]], ...] = (
        (Level.CRITICAL, "not proven off, and no attempt left for now", _is("failed")),
        (Level.WARNING, "held", lambda host: bool(host["held_by"])),
        (Level.WARNING, "suspect", _is("suspect")),
        (Level.WARNING, "being fenced", _is("fencing")),
        (Level.WARNING, "fenced and not back", _is("fenced")),
        (Level.WARNING, "has no power device", _has_no_device),
        (Level.WARNING, "can't be fenced by any path", _has_no_path),
        (Level.WARNING, "its last drill failed", _has_failed_drill),
        (Level.WARNING, "never heard", _is("unknown")),
        (Level.WARNING, "heard under another name", lambda host: bool(host["misnamed"])),
    )
    for level, what, is_so in kinds:
        names = _named(hosts, is_so)
        if names:
            yield level, f"{what}: {names}"


def _is(state: str) -> Callable[[Json], bool]:
    return lambda host: bool(host["state"] == state)


def _cannot_be_fenced(host: Json) -> bool:
    return bool(host["fenceable"]) and host["fenceable"]["level"] == "none"


def _has_no_device(host: Json) -> bool:
    return bool(host["fenceable"]) and any(why["reason"] == "no_device" for why in host["fenceable"]["why"])


def _has_no_path(host: Json) -> bool:
    return _cannot_be_fenced(host) and not _has_no_device(host)


def _has_failed_drill(host: Json) -> bool:
    last = host.get("last_drill")
    return bool(host.get("drill")) and last is not None and last["result"] == "failed"


def _counted(hosts: Sequence[Json], is_so: Callable[[Json], bool]) -> str:
    names = _named(hosts, is_so)
    return f"{sum(map(is_so, hosts))}: {names}" if names else "none known"


def _named(hosts: Sequence[Json], is_so: Callable[[Json], bool]) -> str:
    return some([str(host["name"]) for host in hosts if is_so(host)], NAMES_MAX)
