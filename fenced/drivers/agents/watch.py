"""Reads agents' metadata before a call needs it: at the start, and again when a program changes.

It must not delay calls: it runs one agent at a time and each state of a file once. It ignores errors; a call that
needs the agent reports them.
"""

import asyncio
from typing import Final

from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.agents.reviews import NEVER_ASKED
from fenced.ports.devices import BadParameters

LOOK_SECONDS: Final = 10.0
AGENTS_MAX: Final = 500


async def read_ahead(agents: FenceAgents, *, every_seconds: float = LOOK_SECONDS) -> None:
    """Run until cancelled; cancellation kills the agent that runs."""
    while True:
        for name in await asyncio.to_thread(_installed, agents):
            try:
                if not agents.is_asked(name):
                    await agents.metadata(name)
            except (BadParameters, OSError):
                continue  # the agent was removed, or no process can start now; the next round tries again
        await asyncio.sleep(every_seconds)


def _installed(agents: FenceAgents) -> list[str]:
    try:
        return [name for name in agents.installed() if name not in NEVER_ASKED][:AGENTS_MAX]
    except OSError:
        return []
