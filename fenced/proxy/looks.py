"""Looks at hosts for a daemon, as far as this proxy's own file allows it (`[look]`). Without that it looks at nothing.

Looks are bounded in number and rate, apart from calls, so that they never delay a power command (S15). Each address is
checked after its name was resolved, right before it is connected to.
"""

import asyncio
import time
from typing import Final

import structlog

from fenced.core.heard.looks import Saw
from fenced.model.look_rules import LookRules
from fenced.ports.liveness import Liveness, Seen, unknown
from fenced.ports.proxies import AgentTelemetry
from fenced.proxy.look_protocol import LookRequest, WireSeen
from fenced.proxy.protocol import WireLooking

LOOKS_MAX: Final = 256
LOOKS_PER_SECOND_MAX: Final = 100
OVERTIME_SECONDS: Final = 1.0
"""A look that has not ended so long after its timeout is cut off: it found no turn."""
NOT_LOOKING: Final = "the proxy's file has no [look], so it looks at nothing"

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


class TooManyLooks(Exception):
    """More looks are requested than this proxy carries out."""


class Looks:
    """`rules` None: this proxy is no observer."""

    def __init__(self, *, proxy: str, liveness: Liveness, rules: LookRules | None, telemetry: AgentTelemetry) -> None:
        self._proxy, self._liveness, self._rules, self._telemetry = proxy, liveness, rules, telemetry
        self.in_flight = 0
        self._second, self._of_second = 0, 0

    def use(self, rules: LookRules | None) -> None:
        """Use these from the next look on, and for the addresses that a running one has not reached yet."""
        self._rules = rules

    @property
    def shown(self) -> WireLooking | None:
        """What this proxy looks at, for its status; None: at nothing."""
        return None if self._rules is None else WireLooking(targets=self._rules.targets, ports=self._rules.ports)

    async def look(self, wanted: LookRequest, *, who: str) -> tuple[WireSeen, ...]:
        """Return what was seen of each target. Raises TooManyLooks, with nothing sent."""
        self._admit()
        self.in_flight += 1
        started = time.monotonic()
        try:
            seen = await self._seen(wanted)
        finally:
            self.in_flight -= 1
        seconds = time.monotonic() - started
        for each in seen:
            self._telemetry.looked(answer=each.answer, seconds=seconds)
        refused = [each.why for each in seen if each.saw is Saw.UNKNOWN]
        if refused:
            _log.warning("look without result", who=who, why=refused[0])
        return tuple(WireSeen.of(each) for each in seen)

    async def _seen(self, wanted: LookRequest) -> tuple[Seen, ...]:
        question = wanted.question()
        if self._rules is None:
            return unknown(question, f"proxy {self._proxy}: {NOT_LOOKING}")
        try:
            async with asyncio.timeout(wanted.timeout + OVERTIME_SECONDS):
                return await self._liveness.look(question, why_not=self._why_not)
        except TimeoutError:
            return unknown(question, f"proxy {self._proxy} is too busy to look")

    def _why_not(self, address: str, port: int) -> str | None:
        """Return why this address may not be connected to; None: it may."""
        why = NOT_LOOKING if self._rules is None else self._rules.why_not(address, port)
        return None if why is None else f"proxy {self._proxy}: {why}"

    def _admit(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._of_second = second, 0
        if self.in_flight >= LOOKS_MAX:
            raise TooManyLooks(f"{LOOKS_MAX} looks are under way")
        if self._of_second >= LOOKS_PER_SECOND_MAX:
            raise TooManyLooks(f"more than {LOOKS_PER_SECOND_MAX} looks in a second")
        self._of_second += 1
