"""Reads what agents say of themselves before a call needs it: at the start, and again when a program is another one.

Knows programs' names and times. One rule: it is never in a call's way: one agent at a time, each state of a file once, and
whatever is wrong with one is told to whoever calls it.
"""

import asyncio
from typing import Final

from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.agents.reviews import NEVER_ASKED
from fenced.ports.devices import BadParameters

LOOK_SECONDS: Final = 10.0
AGENTS_MAX: Final = 500


async def read_ahead(agents: FenceAgents, *, every_seconds: float = LOOK_SECONDS) -> None:
    """For ever; ends by cancellation, which kills what runs."""
    while True:
        for name in await asyncio.to_thread(_installed, agents):
            try:
                if not agents.is_asked(name):
                    await agents.metadata(name)
            except (BadParameters, OSError):
                continue  # it went away meanwhile, or nothing can be started now: the next look asks again
        await asyncio.sleep(every_seconds)


def _installed(agents: FenceAgents) -> list[str]:
    try:
        return [name for name in agents.installed() if name not in NEVER_ASKED][:AGENTS_MAX]
    except OSError:
        return []
