"""`fencectl status` without a host: the daemon and its fleet on one page, with an exit status for monitoring.

The levels and exit statuses are those of monitoring plugins (Nagios, Icinga): 0 ok, 1 warning, 2 critical, 3 unknown.
`judged` is pure: the answers of /readyz and of the list of hosts in, lines out.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NoReturn

import click

from fenced.cli.fencectl.client import Refused, Unreachable
from fenced.cli.fencectl.session import Session
from fenced.model.text import one_line, some

Json = Mapping[str, Any]
NAMES_MAX: Final = 8


class Level(IntEnum):
    """How bad it is; the value is the exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def show_overview(session: Session) -> NoReturn:
    """Print the page and exit with its level."""
    try:
        readiness, items = session.client.readiness(), session.client.items("hosts")
    except (Unreachable, Refused) as exc:
        level, why = Level.CRITICAL if isinstance(exc, Unreachable) else Level.UNKNOWN, str(exc)
        session.say({"level": level.name.lower(), "error": why}, lambda: [f"{level.name}: {why}"])
        raise click.exceptions.Exit(level) from exc
    level, lines = judged(readiness, items)
    session.say({"level": level.name.lower(), **readiness, "hosts": items}, lambda: lines)
    raise click.exceptions.Exit(level)


def judged(readiness: Json, hosts: Sequence[Json]) -> tuple[Level, list[str]]:
    """Return the worst level, and the page: a line for a monitoring system, what is wrong, and the figures."""
    daemon = readiness["daemon"]
    problems = [*_of_the_daemon(readiness), *_of_hosts(hosts)]
    level = max((found for found, _ in problems), default=Level.OK)
    states = Counter(host["state"] for host in hosts)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items(), key=lambda item: -item[1]))
    worst = next((text for found, text in problems if found is level), "all is well")
    lines = [one_line(f"{level.name}: {worst}; {len(hosts)} hosts{f': {counted}' if counted else ''}")]
    lines += [one_line(f"  {found.name.lower():<9} {text}") for found, text in problems]
    lines += [
        f"  daemon    {daemon['name']}, site {daemon['site']}, epoch {daemon['epoch']}",
        f"  armed     {'yes' if daemon['armed'] else 'no'}",
        f"  bus       {'connected' if daemon['bus_connected'] else 'not connected'}",
        f"  lease     {'held' if daemon['active'] else 'not held'}",
        f"  quiet     {'yes, no host is fenced automatically yet' if daemon['quiet'] else 'no'}",
        f"  held      {_named(hosts, lambda host: bool(host['held_by'])) or 'none'}",
        f"  no power device  {_counted(hosts, _has_no_device)}",
        f"  can't be fenced  {_named(hosts, _cannot_be_fenced) or 'none known'}",
    ]
    return level, lines


def _of_the_daemon(readiness: Json) -> Iterator[tuple[Level, str]]:
    daemon = readiness["daemon"]
    for lacking in readiness["not_ready"]:
        yield Level.CRITICAL, f"not ready: {lacking}"
    if not daemon["active"]:
        yield Level.CRITICAL, "the daemon does not hold the lease, so it fences no host"
    if daemon["store_held"]:
        yield Level.CRITICAL, f"automatic fencing is held: {daemon['store_held']}"
    if not daemon["armed"]:
        how = "armed = false in its file" if not daemon["armed_by_file"] else "disarmed by an operator"
        yield Level.WARNING, f"not armed ({how}): no power command is sent"
    for warning in readiness["warnings"]:
        yield Level.WARNING, warning


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
