"""Has all observers of a host look at once: the daemon itself, and proxies on its behalf.

Each has its own deadline, and whoever fails or is late costs nobody else anything: what it did not see is unknown. It
counts no votes; the core judges what was seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.model.inventory import Host
from fenced.model.names import ENGINE, ProxyName
from fenced.ports.clock import Clock
from fenced.ports.devices import DeviceError
from fenced.ports.liveness import Liveness, Question, Seen, endpoint, unknown
from fenced.ports.telemetry import Telemetry

TRANSIT_SECONDS: Final = 2.0
"""Beside the time of the probes: for the way to a proxy and back, or until the daemon's own look has its turn."""

AskProxy = Callable[[ProxyName, Question, float], Awaitable[tuple[Seen, ...]]]
"""Ask a proxy to look, for so many seconds in all. Raises DeviceError."""


class Looking:
    """`ask_proxy` None: nobody but the daemon can look."""

    def __init__(
        self, *, fleet: Fleet, liveness: Liveness, clock: Clock, telemetry: Telemetry,
        ask_proxy: AskProxy | None = None,
    ) -> None:  # fmt: skip
        self._fleet, self._liveness = fleet, liveness
        self._clock, self._telemetry, self._ask_proxy = clock, telemetry, ask_proxy

    async def ask(self, command: c.AskLife) -> e.LifeAsked | None:
        """Return what all observers saw; None if a reload removed the host."""
        host = self._fleet.inventory.hosts.get(command.host)
        if host is None:
            return None
        observers, targets = self._whom(command, host)
        question = replace(self._question(host, targets), needs_control=command.is_trial)
        if not (question.agents or (targets and question.ports)):
            return e.LifeAsked(host=host.name, answered=None, was_asked=False)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._look(observer, question), name=f"look at {host.name} from {observer.name}")
                for observer in observers
            ]
        found = [pair for task in tasks for pair in task.result()]
        for look, seen in found if not command.is_trial else ():
            self._telemetry.looked(str(look.observer.name), seen.answer)
        return e.LifeAsked(host=host.name, answered=_answered(found), looks=tuple(look for look, _ in found))

    def _whom(self, command: c.AskLife, host: Host) -> tuple[tuple[Observer, ...], tuple[Target, ...]]:
        """Return who looks at what. A command that names nobody means the daemon, and the host's `address`."""
        own = Observer(name=ENGINE, domain=self._fleet.inventory.daemon.domain)
        targets = (Target(network="", address=host.address),) if host.address else ()
        return command.observers or (own,), command.targets or targets

    def _question(self, host: Host, targets: tuple[Target, ...]) -> Question:
        settings = host.settings.detection
        urls = (proxy.url for proxy in self._fleet.inventory.proxies.values() if proxy.machine == host.name)
        agents = tuple(found for url in urls if (found := endpoint(url)) is not None)
        return Question(
            targets=targets or (Target(network="", address=""),),
            ports=settings.probe_ports if targets else (),
            agents=agents,
            timeout_seconds=settings.probe_timeout_seconds,
        )

    async def _look(self, observer: Observer, question: Question) -> list[tuple[Look, Seen]]:
        """Return what one observer saw of each target; unknown if it could not look."""
        seconds = question.timeout_seconds + TRANSIT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                seen = await self._seen(observer.name, question, seconds)
        except DeviceError as exc:
            seen = unknown(question, str(exc))
        except TimeoutError:
            seen = unknown(question, f"{observer.name} did not answer within {seconds:g} s")
        now = self._clock.now()
        return [(_as_look(observer, each, now), each) for each in seen]

    async def _seen(self, name: ProxyName, question: Question, seconds: float) -> tuple[Seen, ...]:
        if name == ENGINE:
            return await self._liveness.look(question)
        if self._ask_proxy is None or name not in self._fleet.inventory.proxies:
            return unknown(question, f"{name} can't be asked: it is no proxy of this configuration")
        return await self._ask_proxy(name, question, seconds)


def _as_look(observer: Observer, seen: Seen, now: float) -> Look:
    return Look(
        observer=observer, network=seen.network, target=seen.target, saw=seen.saw, at=now, control=seen.control,
        milliseconds=seen.milliseconds, why=seen.why, is_by_agent=seen.is_by_agent, control_fault=seen.control_fault,
    )  # fmt: skip


def _answered(found: Sequence[tuple[Look, Seen]]) -> str | None:
    """Return the first sign of life and where it was seen; None: silence, or nobody could look, as the looks say."""
    for look, seen in found:
        if look.saw is Saw.ALIVE:
            network = f" over {look.network}" if look.network else ""
            return f"{seen.answered}{network}" + (f" from {look.observer.name}" if look.observer.name != ENGINE else "")
    return None
