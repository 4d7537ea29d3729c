"""Waits for an operation to end, and shows it live.

Knows no command. The wait survives a daemon that is away for a while, for example to restart: the operation goes on.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from fenced.cli.echo import say
from fenced.cli.fencectl import client as http_client
from fenced.cli.fencectl.client import DaemonFailed, Refused, Unreachable
from fenced.cli.fencectl.controllers import Controllers
from fenced.cli.fencectl.story import changes
from fenced.cli.waterfall import render
from fenced.model.text import one_line

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.5
AWAY_MAX_SECONDS: Final = 60.0
LAG_MAX_SECONDS: Final = 10.0
"""How long a standby that answers in place of the active controller may not know a new operation."""
WAKING: Final = frozenset({"sleeping", "restoring"})
"""States of a host that is wanted awake and on its way."""
TOO_MANY: Final = 429
MISSED: Final = 404
Json = dict[str, Any]
Show = Callable[[Json], None]


class NotEnded(Exception):
    """The operation did not end in the given time; it goes on."""


def wait(client: Controllers, operation: str, *, seconds: float | None, show: Show) -> Json:
    """Return the operation once it has ended. `seconds` None: no limit (every operation has a deadline in the daemon).

    Raises NotEnded, Refused, and Unreachable after AWAY_MAX_SECONDS without the daemon.
    """

    def ended() -> Json | None:
        seen = client.get("operations", operation)
        show(seen)
        return seen if seen["state"] != "running" else None

    lag_seconds = LAG_MAX_SECONDS if client.has_several else 0.0
    return _poll(ended, f"operation {operation}", operation, seconds=seconds, lag_seconds=lag_seconds)


def wait_for_drill(client: Controllers, host: str, operation: str, *, seconds: float | None) -> Json:
    """Return the drill of that operation once it has ended, when the host was heard again or `boot_grace` is over."""

    def ended() -> Json | None:
        drill = client.get("hosts", host)["last_drill"]
        if drill is None or drill["operation"] != operation:
            raise LookupError(f"{host} has another drill by now")
        return drill if drill["ended"] is not None else None

    return _poll(ended, f"the drill of {host}", operation, seconds=seconds)


def wait_for_wakes(client: Controllers, cluster: str, hosts: Sequence[str], *, seconds: float | None) -> list[str]:
    """Return those of the hosts that did not come, once each other one is heard: it is no sleeper any more.

    One that nobody wants any more could not be given power. A standby may not know yet that it is wanted.
    """
    lag_seconds = LAG_MAX_SECONDS if client.has_several else 0.0
    known_at = time.monotonic() + lag_seconds

    def ended() -> Json | None:
        (found,) = client.get("saving", query={"cluster": cluster})["items"]
        left = {one["host"]: one for one in found["sleepers"] if one["host"] in hosts}
        unwanted = {host for host, one in left.items() if not one["wanted_by"] and time.monotonic() >= known_at}
        failed = {host for host, one in left.items() if one["state"] not in WAKING} | unwanted
        return {"failed": sorted(failed)} if len(failed) == len(left) else None

    found = _poll(ended, f"the wake of {', '.join(hosts)}", "", seconds=seconds, lag_seconds=lag_seconds)
    return list(found["failed"])


def wait_for_holder(client: Controllers, shard: str, before: tuple[str, int], *, seconds: float | None) -> Json:
    """Return the controller that took the shard from `before`, its holder and epoch."""

    def taken() -> Json | None:
        found = holder(client.get("controllers")["items"], shard)
        return found if found is not None and held(found, shard) != before else None

    return _poll(taken, f"the hand-over of {shard}", "", seconds=seconds)


def holder(controllers: Sequence[Json], shard: str) -> Json | None:
    """Return the controller that holds the shard."""
    return next((item for item in controllers if any(one["shard"] == shard for one in item["shards"])), None)


def held(controller: Json, shard: str) -> tuple[str, int]:
    """Return the name of the holder and its epoch."""
    return controller["name"], next(int(one["epoch"]) for one in controller["shards"] if one["shard"] == shard)


def _poll(
    look: Callable[[], Json | None], what: str, operation: str, *, seconds: float | None, lag_seconds: float = 0.0
) -> Json:
    """Return what `look` finds, once it finds something. `lag_seconds`: how long a 404 may only mean "not yet"."""
    end = None if seconds is None else time.monotonic() + seconds
    pause, away_since, missed_since = FIRST_PAUSE_SECONDS, None, None
    while True:
        try:
            found = look()
            away_since = missed_since = None
            if found is not None:
                return found
        except (Unreachable, DaemonFailed) as exc:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > AWAY_MAX_SECONDS:
                later = f"operation {operation} may go on: see `fencectl operation {operation}` later"
                raise Unreachable(f"{exc}; {later if operation else f'{what} may go on'}") from exc
        except Refused as exc:
            missed_since = missed_since or time.monotonic()
            is_late = exc.status == MISSED and time.monotonic() - missed_since < lag_seconds
            if exc.status != TOO_MANY and not is_late:
                raise
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise NotEnded(f"{what} has not ended after {seconds:g} s; it goes on")
        http_client.pause(pause if left is None else min(pause, left))
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


@contextmanager
def display(*, is_quiet: bool) -> Iterator[Show]:
    """Show a running operation: a live waterfall on a terminal, one line per change elsewhere."""
    if is_quiet:
        yield _show_nothing
    elif sys.stdout.isatty():
        with _live() as show:
            yield show
    else:
        yield _line_printer()


def _show_nothing(seen: Json) -> None:
    """For --json."""


def _line_printer() -> Show:
    before: Json | None = None

    def show(seen: Json) -> None:
        nonlocal before
        for line in changes(before, seen):
            say(line)
        before = seen

    return show


@contextmanager
def _live() -> Iterator[Show]:
    """Import rich only here: it takes as long as the rest of the program."""
    from rich.live import Live
    from rich.text import Text

    started = time.monotonic()
    with Live(refresh_per_second=8, vertical_overflow="ellipsis") as live:

        def show(seen: Json) -> None:
            is_running = seen["state"] == "running"
            now_ms = round((time.monotonic() - started) * 1000) if is_running else None
            lines = [one_line(line) for line in render(seen, width=width(), now_ms=now_ms)]
            live.update(Text("\n".join(lines), no_wrap=True), refresh=True)

        yield show


def width() -> int:
    """Return the columns of the terminal; 100 without one."""
    return shutil.get_terminal_size((100, 24)).columns
