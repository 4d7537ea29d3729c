"""Resolves many names at once within a time limit, so that a dead name server can't stop a start.

A name that is not answered in time is left out.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

RESOLVE_SECONDS_MAX: Final = 2.0
THREADS_MAX: Final = 16

Resolver = Callable[[Collection[str]], Mapping[str, frozenset[str]]]
"""Names -> their addresses; a name without an answer in time is absent."""

Addresses = Mapping[str, frozenset[str]]
"""Names -> their addresses, in canonical spelling; an absent name is compared as text."""


def resolve_names(names: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Call the system's resolver (getaddrinfo), `THREADS_MAX` at a time, for `RESOLVE_SECONDS_MAX` in all.

    getaddrinfo can't be cancelled, so the threads are daemon threads, and those that still wait are abandoned.
    """
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[str, frozenset[str]]] = queue.SimpleQueue()
    for name in names:
        asked.put(name)
    stop = threading.Event()
    for number in range(min(THREADS_MAX, len(names))):
        threading.Thread(target=_work, args=(asked, answered, stop), name=f"resolve-{number}", daemon=True).start()
    end = time.monotonic() + RESOLVE_SECONDS_MAX
    found: dict[str, frozenset[str]] = {}
    try:
        for _ in range(len(names)):
            name, addresses = answered.get(timeout=max(0.0, end - time.monotonic()))
            if addresses:
                found[name] = addresses
    except queue.Empty:
        pass
    stop.set()
    return found


def _work(
    asked: "queue.SimpleQueue[str]",
    answered: "queue.SimpleQueue[tuple[str, frozenset[str]]]",
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            name = asked.get_nowait()
        except queue.Empty:
            return
        answered.put((name, _addresses(name)))


def _addresses(name: str) -> frozenset[str]:
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return frozenset()
