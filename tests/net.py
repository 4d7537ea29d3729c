"""Loopback ports and waiting, for tests with real parts."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""Of waiting for what must come about, on a machine with other work: it ends a test that hangs, and says how long nothing is."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE_SECONDS, what: str = ""
) -> None:
    """Wait for a condition of the real world. Raises AssertionError with `what` when it does not come about."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > end:
            raise AssertionError(f"did not come about within {seconds} s: {what or condition}")
        await asyncio.sleep(0.02)


async def until_listening(port: int, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a loopback TCP port accepts."""

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await until(answers, seconds=seconds, what=f"port {port} listens")
