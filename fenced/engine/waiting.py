"""Waiting for a nudge, but not for ever: tasks that also look by themselves now and then.

Knows an event and a time, nothing of what is waited for. One rule: nothing is raised when the time is over.
"""

import asyncio


async def nudged(event: asyncio.Event, *, seconds: float) -> None:
    """Until the event is set, or so many seconds later, which sets it as well: then it is time for a look."""
    alarm = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        alarm.cancel()
