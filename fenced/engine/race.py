"""The proxy race: finds a proxy that can read a device, in order of preference, without waiting for each one's timeout.

Knows candidates and a function that reads, not drivers, HTTP or what the reading is for. A success proves a path. The
result of every candidate is kept with what it read; others compare the paths (design.md#proxy-race; compare RFC 8305's
connection race).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fenced.core.durable.state import WRONG_MACHINE, RaceEntry
from fenced.core.reach.domains import Place, Rank
from fenced.engine.settling import Reading
from fenced.engine.workers import TURN_FACTOR, Turn
from fenced.model.names import PlugId, ProxyName
from fenced.model.power import Power, Verdict
from fenced.model.settings import RaceSettings
from fenced.ports.clock import Clock
from fenced.ports.devices import DeviceError, DeviceTimedOut, WrongMachine

ERROR_TEXT_MAX = 300
OVERDUE_BOUND = 4
"""Probes without an answer for `parallel * stagger` no longer count in `parallel`, up to this multiple of it."""
LOAD_STEPS = 8
"""Differences in load below this share of a proxy's bound don't outweigh its latency."""

CANCEL_SECONDS = 5.0
"""The time that a loser gets to log out."""

BACKSTOP_SECONDS = 1.0
"""A read ends by the probe's timeout and reports the error; one that does not is cancelled this much later."""

NOT_READ = Reading(power=Power.UNKNOWN)

Read = Callable[[ProxyName, Turn], Awaitable[Reading]]
"""Reads the device through a proxy; calls `turn.came` when the call leaves, for only then its time counts."""


@dataclass(slots=True)
class Path:
    """The history of one proxy for one device."""

    seconds: float = 0.0
    failures: int = 0
    successes: int = 0


@dataclass(slots=True)
class PathMemory:
    """Remembered success and latency per (proxy, device); bounded by forgetting the oldest."""

    most: int = 100_000
    paths: dict[tuple[ProxyName, PlugId], Path] = field(default_factory=dict)

    def get(self, proxy: ProxyName, plug: PlugId) -> Path:
        return self.paths.get((proxy, plug)) or Path()

    def succeeded(self, proxy: ProxyName, plug: PlugId, seconds: float) -> None:
        path = self._own(proxy, plug)
        path.seconds = seconds if path.successes == 0 else 0.7 * path.seconds + 0.3 * seconds
        path.successes, path.failures = path.successes + 1, 0

    def failed(self, proxy: ProxyName, plug: PlugId) -> None:
        self._own(proxy, plug).failures += 1

    def _own(self, proxy: ProxyName, plug: PlugId) -> Path:
        path = self.paths.pop((proxy, plug), None) or Path()
        self.paths[(proxy, plug)] = path
        if len(self.paths) > self.most:
            del self.paths[next(iter(self.paths))]
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceResult:
    """The winner, what it read, the other proxies that could serve, and the result of every candidate."""

    winner: ProxyName | None
    power: Power
    reserves: tuple[ProxyName, ...]
    entries: tuple[RaceEntry, ...]
    settling_until: float = 0.0


@dataclass(slots=True)
class _Candidate:
    proxy: ProxyName
    tier: int
    usual_seconds: float
    verdict: Verdict = Verdict.NOT_STARTED
    started: float | None = None
    turn_came: float | None = None
    ended: float | None = None
    reading: Reading = NOT_READ
    error: str | None = None
    kind: str = ""
    task: asyncio.Task[Reading] | None = None

    @property
    def is_running(self) -> bool:
        return self.task is not None and self.ended is None

    @property
    def is_success(self) -> bool:
        return self.verdict is Verdict.RESERVE

    @property
    def has_read(self) -> bool:
        return self.verdict in {Verdict.WON, Verdict.RESERVE}


class Race:
    """One race. `origin`: the steady time that its milliseconds count from.

    `stops_at_mismatch`: end without a winner as soon as one path finds another machine. Races before a power command do
    so; those that only read go on.
    """

    def __init__(
        self, *, tiers: Sequence[Sequence[ProxyName]], plug: PlugId, read: Read, memory: PathMemory,
        settings: RaceSettings, clock: Clock, origin: float, place: Place, load: Callable[[ProxyName], float],
        is_exhaustive: bool = False, stops_at_mismatch: bool = False,
    ) -> None:  # fmt: skip
        """`load`: how busy a proxy is, 1.0 at its bound. Equal candidates of a tier keep the tier's order."""
        self._plug, self._read, self._memory = plug, read, memory
        self._settings, self._clock, self._origin = settings, clock, origin
        self._is_exhaustive, self._stops_at_mismatch = is_exhaustive, stops_at_mismatch
        self._candidates = [
            _Candidate(proxy=proxy, tier=number, usual_seconds=memory.get(proxy, plug).seconds)
            for number, tier in enumerate(tiers, start=1)
            for proxy in place.arrange(tier, self._ranks(tier, load).__getitem__)
        ]

    def _ranks(self, tier: Sequence[ProxyName], load: Callable[[ProxyName], float]) -> dict[ProxyName, Rank]:
        """Rank inside a tier: fewest recent failures, then less busy, then known before unknown, then fastest.

        Load counts in steps, so that one call more or less does not outweigh a known latency, yet a fast proxy does not
        get every call. Between equal ranks, each call counts.
        """
        ranks: dict[ProxyName, Rank] = {}
        for index, proxy in enumerate(tier):
            path, busy = self._memory.get(proxy, self._plug), load(proxy)
            ranks[proxy] = (path.failures, int(busy * LOAD_STEPS), path.successes == 0, path.seconds, busy, index)
        return ranks

    async def run(self) -> RaceResult:
        """Run until there is a winner or no candidate is left. Cancellation cancels and awaits every probe."""
        try:
            winner = await self._find()
        finally:
            await self._cancel_running()
        return self._result(winner)

    async def _find(self) -> _Candidate | None:
        next_start = self._clock.now()
        grace_until: float | None = None
        while True:
            now = self._clock.now()
            if self._stops_at_mismatch and any(c.kind == WRONG_MACHINE for c in self._candidates):
                return None
            while (candidate := self._startable(now, next_start)) is not None:
                self._start(candidate, now)
                next_start = now + max(self._settings.stagger_seconds, candidate.usual_seconds)
            best = min(
                (c for c in self._candidates if c.is_success), key=lambda c: (c.tier, c.ended or 0.0), default=None
            )
            running = [c for c in self._candidates if c.is_running]
            if best is not None and not self._is_exhaustive:
                if not any(c.tier < best.tier for c in running):
                    return best
                grace_until = grace_until or now + self._settings.preference_grace_seconds
                if now >= grace_until:
                    return best
            elif not running and self._next() is None:
                return best
            failed = await self._wait(now, next_start, grace_until, running)
            if failed:
                next_start = self._clock.now()

    def _next(self) -> _Candidate | None:
        return next((c for c in self._candidates if c.verdict is Verdict.NOT_STARTED), None)

    def _startable(self, now: float, next_start: float) -> _Candidate | None:
        candidate = self._next()
        if candidate is None or now < next_start - 1e-6:
            return None
        if not self._is_exhaustive and any(c.is_success for c in self._candidates):
            return None
        running = [c for c in self._candidates if c.is_running]
        fresh = [c for c in running if now - (c.started or now) < self._overdue_seconds - 1e-6]
        if len(fresh) >= self._settings.parallel or len(running) >= OVERDUE_BOUND * self._settings.parallel:
            return None
        return candidate

    @property
    def _overdue_seconds(self) -> float:
        return self._settings.parallel * self._settings.stagger_seconds

    def _start(self, candidate: _Candidate, now: float) -> None:
        candidate.verdict, candidate.started = Verdict.CANCELLED, now
        candidate.task = asyncio.get_running_loop().create_task(
            self._probe(candidate), name=f"probe {self._plug} through {candidate.proxy}"
        )

    async def _probe(self, candidate: _Candidate) -> Reading:
        """Read through a candidate. Its time counts from its turn at the device: waiting is no fault of the path."""
        seconds = self._settings.probe_timeout_seconds
        async with asyncio.timeout(TURN_FACTOR * seconds + BACKSTOP_SECONDS) as limit:

            def came() -> None:
                candidate.turn_came = self._clock.now()
                limit.reschedule(asyncio.get_running_loop().time() + seconds + BACKSTOP_SECONDS)

            return await self._read(candidate.proxy, Turn(blocks_seconds=self._overdue_seconds, came=came))

    async def _wait(self, now: float, next_start: float, grace_until: float | None, running: list[_Candidate]) -> bool:
        """Wait for the next step; return True when a candidate failed (the next one starts at once)."""
        moments = [grace_until] if grace_until is not None else []
        if self._next() is not None and grace_until is None:
            moments.append(next_start if next_start > now else now + self._settings.stagger_seconds)
        timeout = max(min(moments) - now, 0.0) if moments else None
        tasks = [c.task for c in running if c.task is not None]
        if not tasks:
            await asyncio.sleep(timeout or 0.0)
            return False
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        settled = [self._settle(c) for c in running if c.task is not None and c.task.done()]
        return any(settled)

    def _settle(self, candidate: _Candidate) -> bool:
        """Record a finished probe's result; return True when it failed."""
        assert candidate.task is not None and candidate.started is not None
        candidate.ended = self._clock.now()
        seconds = candidate.ended - (candidate.turn_came or candidate.started)
        try:
            candidate.reading = candidate.task.result()
        except (TimeoutError, DeviceTimedOut) as exc:
            candidate.verdict, candidate.error = Verdict.TIMED_OUT, self._timeout_text(candidate, exc)
            if candidate.turn_came is None and not isinstance(exc, DeviceTimedOut):
                return True  # it never reached the path, so it proves nothing about it
            candidate.kind = exc.kind if isinstance(exc, DeviceTimedOut) else DeviceTimedOut.kind
        except DeviceError as exc:
            candidate.verdict, candidate.kind = Verdict.FAILED, exc.kind
            candidate.error = str(exc)[:ERROR_TEXT_MAX]
        else:
            candidate.verdict, candidate.error = Verdict.RESERVE, candidate.reading.note
            self._memory.succeeded(candidate.proxy, self._plug, seconds)
            return False
        self._memory.failed(candidate.proxy, self._plug)
        return True

    def _timeout_text(self, candidate: _Candidate, exc: Exception) -> str:
        if candidate.turn_came is None and not str(exc):
            return "its turn did not come: no session of the device, or no place at the proxy, became free"
        return (str(exc) or f"no answer within {self._settings.probe_timeout_seconds} s")[:ERROR_TEXT_MAX]

    async def _cancel_running(self) -> None:
        tasks = [c.task for c in self._candidates if c.is_running and c.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
        for candidate in self._candidates:
            if candidate.is_running:
                candidate.ended = self._clock.now()
                if candidate.task is not None and candidate.task.done() and not candidate.task.cancelled():
                    self._hear_last_word(candidate, candidate.task)

    def _hear_last_word(self, candidate: _Candidate, task: asyncio.Task[Reading]) -> None:
        """Keep the result of a probe that ended as it was cancelled: its reading or mismatch must not be lost."""
        if task.exception() is None or isinstance(task.exception(), WrongMachine):
            self._settle(candidate)

    def _result(self, winner: _Candidate | None) -> RaceResult:
        if winner is not None:
            winner.verdict = Verdict.WON
        reserves = sorted((c for c in self._candidates if c.is_success), key=lambda c: (c.tier, c.ended or 0.0))
        return RaceResult(
            winner=winner.proxy if winner is not None else None,
            power=winner.reading.power if winner is not None else Power.UNKNOWN,
            reserves=tuple(c.proxy for c in reserves),
            entries=tuple(self._entry(c) for c in self._candidates),
            settling_until=winner.reading.settling_until if winner is not None else 0.0,
        )

    def _entry(self, candidate: _Candidate) -> RaceEntry:
        return RaceEntry(
            proxy=candidate.proxy,
            tier=candidate.tier,
            verdict=candidate.verdict,
            started_ms=self._milliseconds(candidate.started),
            ended_ms=self._milliseconds(candidate.ended),
            error=candidate.error,
            kind=candidate.kind,
            power=candidate.reading.power if candidate.has_read else None,
        )

    def _milliseconds(self, at: float | None) -> int | None:
        return None if at is None else round((at - self._origin) * 1000)
