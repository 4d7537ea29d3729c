"""Follows a command that the BMC runs as a task until the task ends (DSP0266, asynchronous operations).

A task that fails or can't be followed may still have switched the power, so the caller must read.
"""

import asyncio
from typing import Final

from fenced.drivers.redfish.answers import LOGIN_REFUSED, Answer, explanation, link
from fenced.drivers.redfish.exchange import BUSY, Exchange
from fenced.ports.devices import DeviceError

POLL_SECONDS_MIN: Final = 0.2
POLL_SECONDS: Final = 0.5
POLL_SECONDS_MAX: Final = 5.0
POLL_GROWTH: Final = 1.5
COMPLETED: Final = "Completed"
FAILED: Final = frozenset({"Exception", "Killed", "Cancelled"})
GONE: Final = frozenset({404, 410})
"""BMCs delete a monitor once its end has been read."""


async def follow(exchange: Exchange, answer: Answer) -> None:
    """Return when the task has succeeded, or at once if the answer has no task. Raises DeviceError.

    Only the caller's deadline limits the wait.
    """
    path = answer.location or _monitor(answer)
    if path is None:
        return
    wait = POLL_SECONDS
    while not _has_ended(exchange, answer):
        asked = answer.wait_seconds
        await asyncio.sleep(wait if asked is None else min(max(asked, POLL_SECONDS_MIN), POLL_SECONDS_MAX))
        wait = min(wait * POLL_GROWTH, POLL_SECONDS_MAX)
        try:
            answer = await exchange.get_once(path)
        except DeviceError as exc:
            raise DeviceError(f"its task can't be followed: {exc}", is_end_known=False) from exc


def _has_ended(exchange: Exchange, answer: Answer) -> bool:
    """Return whether the task has succeeded; raise DeviceError if it failed.

    A monitor answers 202 while the task runs, then with the operation's own answer; a task reports its state.
    """
    state, health = answer.body.get("TaskState"), answer.body.get("TaskStatus")
    base = exchange.target.base
    if answer.status in LOGIN_REFUSED:
        raise DeviceError(
            f"{base} refuses access to the task{explanation(exchange.target, answer)}", is_end_known=False
        )
    if answer.status in BUSY:
        return False
    if answer.status in GONE:
        return True
    if not 200 <= answer.status < 300:
        raise DeviceError(f"{base}: the task ended with {answer.status}{explanation(exchange.target, answer)}")
    if isinstance(state, str) and state in FAILED:
        raise DeviceError(f"{base}: the task ended as {state}{_messages(exchange, answer)}")
    # Completed means that it ended, with or without success: ironcore-dev/metal-operator#453 (iDRAC).
    if state == COMPLETED and health == "Critical":
        raise DeviceError(f"{base}: the task completed with errors{_messages(exchange, answer)}")
    return state == COMPLETED or (state is None and answer.status != 202)


def _monitor(answer: Answer) -> str | None:
    """Return the path to follow if no header names it: the task's monitor, or the task."""
    monitor = answer.body.get("TaskMonitor")
    if isinstance(monitor, str) and monitor:
        return monitor
    return link(answer.body) if answer.status == 202 or "TaskState" in answer.body else None


def _messages(exchange: Exchange, answer: Answer) -> str:
    """Return the task's own words about its end."""
    listed = answer.body.get("Messages")
    first = listed[0] if isinstance(listed, list) and listed else None
    text = first.get("Message") if isinstance(first, dict) else None
    return f": {exchange.target.shown(text)}" if isinstance(text, str) else ""
