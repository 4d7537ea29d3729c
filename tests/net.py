"""Loopback ports and waiting, for tests with real parts."""

import asyncio
import contextlib
import functools
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

FIRST_PORT: Final = 10_240
FREE_PORT_TRIES: Final = 1000
KERNELS_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[tuple[int, socket.SocketKind]] = set()
PATIENCE_SECONDS: Final = 60.0
"""The longest wait for something that must happen: it only ends a test that hangs, on a busy machine as well."""
PAUSE_SECONDS: Final = 0.02
PAUSE_SECONDS_MAX: Final = 0.5


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a loopback port that is free now, was not returned before, and that no outgoing connection gets.

    A port that the kernel chooses may be given to an outgoing connection a moment later.
    """
    for _ in range(FREE_PORT_TRIES):
        port = FIRST_PORT + secrets.randbelow(_first_of_the_kernels() - FIRST_PORT)
        if (port, kind) in _given:
            continue
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add((port, kind))
            return port
    raise AssertionError("no free port on loopback")


@functools.cache
def _first_of_the_kernels() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    return max(int(KERNELS_PORTS.read_text().split()[0]), FIRST_PORT + FREE_PORT_TRIES)


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str | Callable[[], str] = "",
) -> None:
    """Wait for a condition of the real world. Raises AssertionError with `what` if it does not become true.

    A function for `what` is called at the end, for words that depend on how far it came.
    """
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        answered = time.monotonic()
        if answered > end:
            raise AssertionError(
                f"did not become true within {seconds} s: {(what if isinstance(what, str) else what()) or condition}"
            )
        # Asking takes half of the time at most, also where it starts a program.
        await asyncio.sleep(min(max(answered - asked, PAUSE_SECONDS), PAUSE_SECONDS_MAX))


async def until_listening(port: int, *, seconds: float = PATIENCE_SECONDS, host: str = "127.0.0.1") -> None:
    """Wait until a TCP port accepts."""

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    await until(answers, seconds=seconds, what=f"{host}:{port} listens")
