"""Who waits for a decision gets an answer, also at the end of a life."""

import asyncio

import pytest

from fenced.core import events as e
from fenced.engine.asked import Callers
from fenced.ports.control import Unavailable

ASKED = e.ArmAsked(is_on=False, by="person", reason="told")


async def test_those_who_wait_and_those_who_come_too_late_are_told() -> None:
    callers = Callers()
    waits, answered = callers.new(ASKED), callers.new(ASKED)
    answered.set_result(None)
    callers.end()
    with pytest.raises(Unavailable, match="look whether it was done"):
        await asyncio.wait_for(waits, 1.0)
    assert await answered is None
    with pytest.raises(Unavailable, match="nothing was done"):
        callers.new(ASKED)
