"""Finds and kills the processes that an earlier run of the daemon left behind (S16).

It kills a process only if pid and start time match, or if its environment carries the daemon's marker. A pid alone is
not enough, because the kernel reuses pids; and a pid of another machine means nothing here, so the caller gives only
those that this state directory started.
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
"""Environment variable of all processes that agents start: MARKER/KEEPER/CALL."""
ROUNDS_MAX: Final = 50
"""A survivor may fork during the search, so the search repeats until a round finds no new process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A process of an earlier run that was killed. `is_gone`: its death is certain; False: it has not died (yet)."""

    pid: int
    pid_started: str
    command: str
    is_gone: bool


async def kill_survivors(
    *, markers: Collection[str] = (), processes: Collection[tuple[int, str]] = (), within_seconds: float = 5.0
) -> tuple[Survivor, ...]:
    """SIGKILL all processes with a marker, and the given (pid, pid_started) pairs; return once they are gone.

    `markers` are those of `Keeper`. Give them before the first agent runs, because its agents carry the marker too;
    later only `processes`, for example those in a journal that was just taken. Does not block the loop; raises nothing.
    """
    return await asyncio.to_thread(kill_marked, frozenset(markers), frozenset(processes), within_seconds)


def kill_marked(
    markers: Collection[str], processes: Collection[tuple[int, str]], within_seconds: float
) -> tuple[Survivor, ...]:
    """Do the work of `kill_survivors` in the calling thread."""
    give_up_at = time.monotonic() + within_seconds
    handles: dict[tuple[int, str], tuple[int, str]] = {}
    try:
        for _ in range(ROUNDS_MAX):
            new = [found for found in _find(markers, processes) if found not in handles]
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


def _find(markers: Collection[str], processes: Collection[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield the identity of each living process that matches."""
    wanted = tuple(os.fsencode(f"{MARKER_NAME}={marker}/") for marker in markers)
    given = {pid for pid, _started in processes}
    for entry in os.scandir(PROC):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        if pid in given or (pid != os.getpid() and _is_marked(pid, wanted)):
            started = started_of(pid)
            if started is not None and ((pid, started) in processes or _is_marked(pid, wanted)):
                yield pid, started


def _is_marked(pid: int, wanted: tuple[bytes, ...]) -> bool:
    if not wanted:
        return False
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return any(variable.startswith(wanted) for variable in environment.split(b"\0"))


def _kill(identity: tuple[int, str], handles: dict[tuple[int, str], tuple[int, str]]) -> None:
    """Open a handle, check the identity, then kill by the handle, so that a reused pid is never hit."""
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
    """Return whether the process ends by then. A zombie has ended."""
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    return bool(ended.poll(max(0.0, give_up_at - time.monotonic()) * 1000))


def started_of(pid: int) -> str | None:
    """Return when a process started, as text that is unique with the pid; None if it is gone or a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else identity(fields[19].decode())


def identity(ticks: str) -> str:
    """Return `TICKS@BOOT`: start ticks count from the boot, so they need the boot to be unique."""
    return f"{ticks}@{boot_id()}"


def boot_id() -> str:
    """Return the first part of the kernel's boot id."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]


def _command_of(pid: int) -> str:
    """Return the program's short name, for logs."""
    try:
        return (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
