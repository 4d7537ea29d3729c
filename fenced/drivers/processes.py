"""Processes by exact identity: what an earlier life of the daemon left running is found and killed (S16).

Knows /proc, not agents. One rule: a process is killed only when its pid and start time are those given, or when its
environment carries our own marker; a pid alone names nobody.
"""

import asyncio
import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
MARKER_NAME: Final = "FENCED_CALL"
"""Environment variable of everything that an agent starts: STORE/KEEPER/CALL."""
ROUNDS_MAX: Final = 50
"""A survivor may fork while it is searched for; the search is repeated until a round finds nobody new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A process of an earlier life that was killed. `is_gone`: it was seen dead; False: it does not die (yet)."""

    pid: int
    pid_started: str
    command: str
    is_gone: bool


async def kill_survivors(
    *, marker: str, processes: Collection[tuple[int, str]] = (), within_seconds: float = 5.0
) -> tuple[Survivor, ...]:
    """SIGKILL all that carries our marker, and the given (pid, pid_started) pairs; returns once they are gone.

    `marker` is the one that `Keeper` was made with. Call it before the first call of this life: its own agents carry
    the marker too. Blocks no loop; raises nothing.
    """
    return await asyncio.to_thread(kill_marked, marker, frozenset(processes), within_seconds)


def kill_marked(marker: str, processes: Collection[tuple[int, str]], within_seconds: float) -> tuple[Survivor, ...]:
    """As `kill_survivors`, in the calling thread."""
    give_up_at = time.monotonic() + within_seconds
    handles: dict[tuple[int, str], tuple[int, str]] = {}
    try:
        for _ in range(ROUNDS_MAX):
            new = [found for found in _find(marker, processes) if found not in handles]
            for identity in new:
                _kill(identity, handles)
            if not new or time.monotonic() > give_up_at:
                break
        return tuple(
            Survivor(pid=pid, pid_started=started, command=command, is_gone=_is_gone(handle, give_up_at))
            for (pid, started), (handle, command) in handles.items()
        )
    finally:
        for handle, _command in handles.values():
            os.close(handle)


def _find(marker: str, processes: Collection[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """All living processes that are meant, by identity."""
    wanted = os.fsencode(f"{MARKER_NAME}={marker}/")
    given = {pid for pid, _started in processes}
    for entry in os.scandir(PROC):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        if pid in given or (pid != os.getpid() and _is_marked(pid, wanted)):
            started = started_of(pid)
            if started is not None and ((pid, started) in processes or _is_marked(pid, wanted)):
                yield pid, started


def _is_marked(pid: int, wanted: bytes) -> bool:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return any(variable.startswith(wanted) for variable in environment.split(b"\0"))


def _kill(identity: tuple[int, str], handles: dict[tuple[int, str], tuple[int, str]]) -> None:
    """Kill by a handle that was opened before the identity was checked: the pid can't have changed hands."""
    pid, started = identity
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    if started_of(pid) != started:
        os.close(handle)
        return
    handles[identity] = (handle, _command_of(pid))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _is_gone(handle: int, give_up_at: float) -> bool:
    """Whether the process behind a handle ends by then; a zombie that nobody reaps has ended."""
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    return bool(ended.poll(max(0.0, give_up_at - time.monotonic()) * 1000))


def started_of(pid: int) -> str | None:
    """When a process started, as text that is equal only for the same process; None when it is gone or a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else identity(fields[19].decode())


def identity(ticks: str) -> str:
    """Start ticks count from the boot, so they say nothing across one: `TICKS@BOOT`."""
    return f"{ticks}@{boot_id()}"


def boot_id() -> str:
    """The first part of the kernel's boot id."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]


def _command_of(pid: int) -> str:
    """The program's short name, for people."""
    try:
        return (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
