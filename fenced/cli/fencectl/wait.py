"""Waiting for an operation: looks at it until it ends, and shows it live.

Knows no command. One rule: a daemon that is away for a while (a restart of its own) does not end the wait; the
operation goes on without us.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from fenced.cli.echo import say
from fenced.cli.fencectl import client as http_client
from fenced.cli.fencectl.client import Client, DaemonFailed, Refused, Unreachable
from fenced.cli.fencectl.story import changes
from fenced.cli.waterfall import render
from fenced.model.text import one_line

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.5
AWAY_MAX_SECONDS: Final = 60.0
TOO_MANY: Final = 429
Json = dict[str, Any]
Show = Callable[[Json], None]


class NotEnded(Exception):
    """The operation did not end in the time that the caller gave it; it goes on."""


def wait(client: Client, operation: str, *, seconds: float | None, show: Show) -> Json:
    """The operation once it ended. `seconds` None: as long as it takes (the daemon gives every operation a deadline).

    Raises NotEnded, Refused, and Unreachable once the daemon was away for AWAY_MAX_SECONDS.
    """
    end = None if seconds is None else time.monotonic() + seconds
    pause, away_since = FIRST_PAUSE_SECONDS, None
    while True:
        try:
            seen = client.get("operations", operation)
            away_since = None
            show(seen)
            if seen["state"] != "running":
                return seen
        except (Unreachable, DaemonFailed) as exc:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > AWAY_MAX_SECONDS:
                raise Unreachable(f"{exc}; the operation {operation} goes on without it being seen") from exc
        except Refused as exc:
            if exc.status != TOO_MANY:
                raise
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise NotEnded(f"operation {operation} has not ended after {seconds:g} s; it goes on")
        http_client.pause(pause if left is None else min(pause, left))
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


@contextmanager
def display(*, is_quiet: bool) -> Iterator[Show]:
    """How an operation is shown while it runs: a live waterfall on a terminal, a line per change elsewhere."""
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
    """rich is imported here only: it costs as much as the rest of the program."""
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
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns
