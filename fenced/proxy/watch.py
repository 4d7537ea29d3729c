"""Polls the status of every proxy agent: for operators and metrics, and to detect incompatible protocol versions.

Reads no device. A proxy that does not answer stays a candidate, because the race itself finds that out. Only a proxy
that speaks another protocol is excluded.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from fenced.model.inventory import Proxy
from fenced.model.names import ProxyName
from fenced.ports.clock import Clock
from fenced.ports.devices import DeviceError
from fenced.ports.proxies import ProxyView
from fenced.proxy.client import ProxyCaller
from fenced.proxy.protocol import PROTOCOL, Status

PERIOD_SECONDS: Final = 30.0
"""Between two polls of one proxy, randomised by a tenth so that they don't coincide."""
JITTER: Final = 0.1
POLLS_MAX: Final = 16
TIMEOUT_SECONDS: Final = 5.0
ERROR_TEXT_MAX: Final = 300

Faults = Mapping[ProxyName, str]
Report = Callable[[Faults, frozenset[ProxyName], frozenset[ProxyName]], None]
"""Told the proxies that are no candidates, with the reason, those that look at hosts, and those of which that is not
known."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


class ProxyWatch:
    """Implements ports.proxies.Proxies."""

    def __init__(self, caller: ProxyCaller, proxies: Iterable[Proxy], *, clock: Clock) -> None:
        self._caller, self._clock = caller, clock
        self._told: tuple[Faults, frozenset[ProxyName], frozenset[ProxyName]] = ({}, frozenset(), frozenset())
        self._report: Report = lambda faults, observers, untold: None
        self._views: dict[ProxyName, ProxyView] = {}
        self.use(proxies)

    def use(self, proxies: Iterable[Proxy]) -> None:
        """Watch the proxies of a new configuration; results for a proxy at the same address are kept.

        A known observer stays one at a new address, until it says otherwise there.
        """
        views = {proxy.name: ProxyView(name=proxy.name, url=proxy.url) for proxy in proxies}
        known = {name: self._views.get(name) for name in views}
        self._views = {
            name: before if (before := known[name]) is not None and before.url == view.url else _moved(view, before)
            for name, view in sorted(views.items())
        }
        self._report_faults()

    def report_to(self, report: Report) -> None:
        """Call `report` with the proxies that are no candidates, and why, with the observers, and with those that have
        not said whether they look, whenever these change.

        An observer that can't be reached stays one: it is missing, not absent.
        """
        self._report = report

    def views(self) -> Sequence[ProxyView]:
        return list(self._views.values())

    async def run(self) -> None:
        """Poll all proxies once per period, a few at a time, for ever."""
        while True:
            started = self._clock.now()
            names = list(self._views)
            polling = asyncio.Semaphore(POLLS_MAX)
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._poll_in_turn(name, polling), name=f"status of {name}")
            wanted = PERIOD_SECONDS * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret: it spreads load
            await asyncio.sleep(max(1.0, wanted - (self._clock.now() - started)))

    async def _poll_in_turn(self, name: ProxyName, polling: asyncio.Semaphore) -> None:
        async with polling:
            await self.ask(name)

    async def ask(self, name: ProxyName) -> None:
        """Poll one proxy and record the result."""
        started = self._clock.now()
        try:
            status = await self._caller.status(name, timeout_seconds=TIMEOUT_SECONDS)
        except DeviceError as exc:
            self._note(name, is_up=False, error=str(exc)[:ERROR_TEXT_MAX])
        else:
            now = self._clock.now()
            self._note(name, is_up=True, error="", status=status, now=now, seconds=now - started)

    def _note(
        self,
        name: ProxyName,
        *,
        is_up: bool,
        error: str,
        status: Status | None = None,
        now: float | None = None,
        seconds: float | None = None,
    ) -> None:
        before = self._views.get(name)
        if before is None:
            return
        view = replace(before, is_up=is_up, error=error)
        if status is not None:
            view = replace(
                view,
                answered_at=now,
                round_trip_seconds=seconds,
                version=status.version,
                in_flight=status.in_flight.reads + status.in_flight.commands,
                capacity=status.capacity,
                drivers=status.drivers,
                why_barred=_why_barred(status),
                looks_at=status.looking.targets if status.looking is not None else (),
                look_ports=status.looking.ports if status.looking is not None else (),
                reload_refused=status.reload_refused,
            )
        self._views[name] = view
        self._report_faults()
        if before.is_up is not is_up or before.why_barred != view.why_barred:
            log = _log.info if is_up and view.why_barred is None else _log.warning
            log("proxy", proxy=name, up=is_up, version=view.version, error=error or view.why_barred)

    def _report_faults(self) -> None:
        faults = {view.name: view.why_barred for view in self._views.values() if view.why_barred is not None}
        observers = frozenset(view.name for view in self._views.values() if view.is_observer)
        untold = frozenset(view.name for view in self._views.values() if view.is_untold)
        if (faults, observers, untold) != self._told:
            self._told = faults, observers, untold
            self._report(faults, observers, untold)


def _moved(view: ProxyView, before: ProxyView | None) -> ProxyView:
    return view if before is None else replace(view, looks_at=before.looks_at, look_ports=before.look_ports)


def _why_barred(status: Status) -> str | None:
    if PROTOCOL in status.protocols:
        return None
    spoken = ", ".join(str(number) for number in status.protocols)
    return (
        f"version {status.version} speaks protocol {spoken}, this daemon {PROTOCOL}: install the same version on both"
    )
