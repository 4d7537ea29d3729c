"""The story of a lab that saves power: an idle host is put to sleep, and wakes as the spare of one that dies.

Observes everything through the API: that a host sleeps, that it is woken while the other one is being fenced, and that
nobody else is touched. The oracle of the sleeper shows that nothing of it ran while it slept.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from fenced.lab.errors import LabError
from fenced.lab.hosts import last_writes
from fenced.lab.narrator import HOST_EVENT, Line, Narrator
from fenced.lab.story import POLL_SECONDS, Seen, Story, for_ever, get
from fenced.model.moments import parse_rfc3339

WORKLOADS: Final = 2
HEARD_SECONDS: Final = 2.0
"""After so long everybody knows of the new work."""
WRONG: Final = {
    "sleep_failed": "it did not shut down",
    "wake_failed": "it did not come back",
    "fencing": "it was fenced, though nothing was wrong with it",
}
"""Events of any host but the victim that end the story."""


@dataclass(slots=True, kw_only=True)
class SavingSeen(Seen):
    """What was seen of the sleepers, too: when one was given power, and when it lived (seconds since the epoch)."""

    waking_at: float | None = None
    woken_at: float | None = None
    spare: str = ""

    def missing(self) -> list[str]:
        return [*Seen.missing(self), *(["a sleeper awake as the spare"] if self.woken_at is None else [])]


class SavingStory(Story):
    """Lets a host fall asleep, gives the others work, and strikes one that works."""

    _seen_class = SavingSeen
    _is_fine = frozenset({"healthy", "left", "sleeping"})

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._narrators = {name: Narrator(name) for name in self._lab.hosts.names}
        self._slept: dict[str, tuple[float, float]] = {}
        """When each sleeper fell asleep: seconds since the epoch, and monotonic clock."""
        self._boots: dict[str, str] = {}
        """The run of each sleeper that was shut down."""
        self._idle_at: float | None = None
        self._awake = "the daemon does not say why"

    def _not_begun(self) -> str:
        return super()._not_begun() if self._idle_at is None else f"a host asleep ({self._awake})"

    async def _until_all_healthy(self, api: aiohttp.ClientSession) -> None:
        async with asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(for_ever(lambda: self._hear_events(self._note)), name="story events")
            await super()._until_all_healthy(api)
            self._idle_at = self._origin = time.time()
            self._say("all are idle: one of them may sleep")
            while not self._slept:
                await self._look_at_all(api)
                self._note_why_awake(await get(api, "/api/v1/saving"))
                self._report([])
                await asyncio.sleep(POLL_SECONDS)
            follower.cancel()
        self._report([], settle_seconds=0.0)
        await self._let_work_arrive()

    async def _let_work_arrive(self) -> None:
        """Give work to all that are awake but one, which is the reserve; choose who is struck."""
        awake = [name for name in self._lab.hosts.names if name not in self._slept]
        if self._host not in awake:
            self._say(f"{self._host} sleeps, so {awake[-1]} is struck instead")
            self._host, self._narrator = awake[-1], Narrator(awake[-1])
        reserve = next(name for name in awake if name != self._host)
        busy = [name for name in awake if name != reserve]
        for name in busy:
            self._lab.hosts[name].give_work(WORKLOADS)
        self._say(f"work arrives: {', '.join(busy)} have {WORKLOADS} workloads each; {reserve} is the idle reserve")
        await asyncio.sleep(HEARD_SECONDS)

    def _note_why_awake(self, saving: Mapping[str, Any] | None) -> None:
        """Keep what keeps each host awake now, for the case that none falls asleep."""
        others = [host for cluster in (saving or {"items": []})["items"] for host in cluster["others"]]
        if others:
            whys = (f"{host['host']}: {host['bars'][0]['why']}" for host in others if host["bars"])
            self._awake = "; ".join(whys) or "nothing keeps them awake"

    def _note(self, event: Mapping[str, Any]) -> None:
        """Take note of an event of any host. Raises LabError if it is wrong for one that nothing happened to."""
        host, word = str(event.get("subject", "")), str(event.get("type", "")).removeprefix(HOST_EVENT)
        if host not in self._narrators or self._idle_at is None:
            return
        if parse_rfc3339(str(event["time"])) >= self._idle_at:
            self._report(self._narrators[host].event(event))
        if word == "sleeping":
            self._note_sleeper(host)
        if word in WRONG:
            reason = (event.get("data") or {}).get("reason")
            raise LabError(f"{host}: {WRONG[word]}" + (f" ({reason})" if reason else ""))

    def _note_sleeper(self, host: str) -> None:
        if host not in self._slept:
            self._slept[host] = (time.time(), time.monotonic())
            self._boots[host] = self._lab.hosts[host].boot or ""

    async def _look_at_all(self, api: aiohttp.ClientSession) -> None:
        """Poll who sleeps, in case an event was missed, and what is done to those on their way."""
        hosts = await get(api, "/api/v1/hosts") or {"items": []}
        for item in hosts["items"]:
            if item["state"] == "sleeping":
                self._note_sleeper(item["name"])
            if item.get("operation") and item["name"] != self._host:
                await self._narrate(api, item["name"], item["operation"])

    async def _narrate(self, api: aiohttp.ClientSession, host: str, operation: str) -> None:
        shown = await get(api, f"/api/v1/operations/{operation}")
        lines = [] if shown is None else self._narrators[host].operation(shown)
        self._report([Line(at=line.at, who=host, text=f"{line.who}: {line.text}") for line in lines])

    def _event(self, event: Mapping[str, Any], seen: Seen) -> None:
        if event.get("subject") == self._host:
            super()._event(event, seen)
            return
        self._note(event)
        assert isinstance(seen, SavingSeen)
        host, word = str(event.get("subject", "")), str(event.get("type", "")).removeprefix(HOST_EVENT)
        is_new = host in self._slept and parse_rfc3339(str(event["time"])) >= seen.struck_at
        if is_new and word == "waking":
            seen.waking_at = seen.waking_at or time.time()
        if is_new and word == "woken" and seen.woken_at is None:
            seen.woken_at, seen.spare = time.time(), host

    async def _look(self, api: aiohttp.ClientSession, seen: Seen) -> None:
        await super()._look(api, seen)
        await self._look_at_all(api)
        assert isinstance(seen, SavingSeen)
        for host in self._slept:
            shown = await get(api, f"/api/v1/hosts/{host}")
            if shown is not None and shown["state"] == "healthy" and seen.woken_at is None:
                seen.woken_at, seen.spare = time.time(), host

    async def _end(self, api: aiohttp.ClientSession, seen: Seen) -> None:
        await super()._end(api, seen)
        assert isinstance(seen, SavingSeen)
        if seen.woken_at is None or self._idle_at is None:
            raise LabError(f"not seen: {', '.join(seen.missing())}")
        host = seen.spare
        slept_at, monotonic = self._slept[host]
        self._check_sleep(host, monotonic)
        asked = (
            "" if seen.waking_at is None else f"; it got power {seen.waking_at - seen.struck_at:.1f} s after the blow"
        )
        self._say(
            f"saving: {host} slept {slept_at - self._idle_at:.1f} s after all were idle, and was awake as the spare "
            f"{seen.woken_at - seen.struck_at:.1f} s after {self._host} was struck{asked}"
        )

    def _check_sleep(self, host: str, slept_monotonic: float) -> None:
        """Raises LabError if anything ran on the sleeper after it was told to be asleep, or it did not boot anew."""
        writes, boot = last_writes(self._lab.hosts[host].files.oracle), self._boots[host]
        last = writes.get(boot)
        if last is None or last >= slept_monotonic:
            raise LabError(f"the run {boot} of {host} went on while the host was said to sleep")
        if self._lab.hosts[host].boot == boot:
            raise LabError(f"{host} did not start again with a new boot id")
