"""Waits for a nudge, up to a time, for tasks that also check by themselves now and then. A timeout raises nothing."""

import asyncio


async def nudged(event: asyncio.Event, *, seconds: float) -> None:
    """Wait until the event is set; after `seconds`, set it."""
    alarm = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        alarm.cancel()
