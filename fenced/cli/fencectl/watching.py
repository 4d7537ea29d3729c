"""`fencectl watch`: a live screen on a terminal, and a line for each event elsewhere.

The screen has the fleet, what is wrong, the operations that run and the last events. A thread reads the events; the
rest is looked up again when one came, and now and then. A slow daemon is asked less often.
"""

import contextlib
import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

from fenced.cli.echo import say
from fenced.cli.fencectl import text
from fenced.cli.fencectl.client import DaemonFailed, Refused, Unreachable
from fenced.cli.fencectl.overview import asked, judged
from fenced.cli.fencectl.screen import has_colours, layout
from fenced.cli.fencectl.session import NOT_UNDERSTOOD, Command, Session
from fenced.model.text import one_line

EVENTS_KEPT: Final = 500
RUNNING_SHOWN: Final = 12
HEAD_MIN: Final = 3
"""The least lines about the fleet, on however small a screen; at most half of it."""
EVENTS_MIN: Final = 3
TICK_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 0.3
"""So long after an event it is looked again: what one event begins is then in the answers, and a burst is one look."""
LOOK_SECONDS: Final = 5.0
SHARE_MAX: Final = 0.1
"""The share of the time that looks may take."""
Json = dict[str, Any]


@click.command(cls=Command)
@click.option("--lines", "is_lines", is_flag=True, help="A line for each event, also on a terminal.")
@click.pass_obj
def watch(session: Session, is_lines: bool) -> None:
    """Watch the fleet: what is wrong, the operations that run, and events as they happen, until Ctrl-C.

    Without a terminal, or with --lines: a line for each event; with --json an event in JSON on each.

    \b
    Example: fencectl watch
             fencectl watch --json | jq 'select(.type == "io.fenced.host.fenced")'
    """
    with contextlib.suppress(KeyboardInterrupt):
        if session.is_json or is_lines or not session.is_on_screen:
            for data in session.events():
                event = _parsed(data)
                say(json.dumps(event) if session.is_json else text.event(event))
        else:
            _show(session)


def _parsed(data: str) -> Json:
    try:
        found = json.loads(data)
    except ValueError as exc:
        raise Unreachable("the event stream is not one of fenced: check --url") from exc
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class Seen:
    """What the screen shows. `fault`: why the last look failed; `looked`: wall time of the last one that did not."""

    fleet: Sequence[str] = ()
    running: Sequence[Json] = ()
    events: deque[Json] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    fault: str = ""
    looked: float | None = None


def _show(session: Session) -> None:
    """Show the screen until Ctrl-C. Raises Unreachable, Refused, DaemonFailed."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    said: queue.SimpleQueue[Json | Exception] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(session.again(), said), daemon=True).start()
    seen = Seen()
    due = 0.0
    console, is_coloured = Console(highlight=False), has_colours(os.environ)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            if time.monotonic() >= due:
                began = time.monotonic()
                _look(session, seen)
                took = time.monotonic() - began
                due = time.monotonic() + max(LOOK_SECONDS, took / SHARE_MAX)
            lines = view(seen, width=console.width, height=console.height, now=time.time(), is_coloured=is_coloured)
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)
            for event in _heard(said):
                seen.events.append(event)
                due = min(due, time.monotonic() + SETTLE_SECONDS)


def _listen(session: Session, said: "queue.SimpleQueue[Json | Exception]") -> None:
    """Read events for ever; the error that ends it is the last thing said."""
    try:
        for data in session.events():
            said.put(_parsed(data))
    except (Unreachable, Refused, DaemonFailed, *NOT_UNDERSTOOD) as exc:
        said.put(exc)


def _heard(said: "queue.SimpleQueue[Json | Exception]") -> Iterator[Json]:
    """Yield the events of the next tick. Raises what ended the stream."""
    end = time.monotonic() + TICK_SECONDS
    with contextlib.suppress(queue.Empty):
        while (left := end - time.monotonic()) > 0:
            found = said.get(timeout=left)
            if isinstance(found, Exception):
                raise found
            yield found


def _look(session: Session, seen: Seen) -> None:
    """Look up the fleet and what runs. A daemon that is away for a while is told on the screen."""
    try:
        readiness, others, hosts = asked(session)
        seen.running = session.client.items("operations", query={"state": "running"}, limit=RUNNING_SHOWN + 1)
    except (Unreachable, DaemonFailed) as exc:
        seen.fault = str(exc)
        return
    _, seen.fleet = judged(readiness, hosts, others)
    seen.fault, seen.looked = "", time.time()


def view(seen: Seen, *, width: int, height: int, now: float, is_coloured: bool) -> Iterator[str]:
    """Yield the lines of the screen: no more than it has, the newest events last."""
    above = [*layout(_head(seen, now), width=width, is_coloured=is_coloured)][: max(HEAD_MIN, height // 2)]
    above += layout(_running(seen), width=width, is_coloured=is_coloured)
    above = [*above[: height - EVENTS_MIN - 2], "", "EVENTS" if seen.events else "no event yet; Ctrl-C ends"]
    yield from above[-height:]
    room = height - len(above)
    if room > 0:
        yield from (one_line(text.event(event))[:width] for event in list(seen.events)[-room:])


def _running(seen: Seen) -> Iterator[str]:
    if seen.running:
        yield ""
        yield from text.operations(seen.running[:RUNNING_SHOWN])
    if len(seen.running) > RUNNING_SHOWN:
        yield "and more: fencectl operations --state running"


def _head(seen: Seen, now: float) -> Iterator[str]:
    at = time.strftime("%H:%M:%SZ", time.gmtime(now))
    if seen.fault:
        since = f"what follows is of {time.strftime('%H:%M:%SZ', time.gmtime(seen.looked))}" if seen.looked else ""
        yield f"{at}  NO ANSWER: {seen.fault}"
        yield since or "nothing is known yet"
        yield ""
    else:
        yield at
    yield from seen.fleet
