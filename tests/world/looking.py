"""How observers of the world look at hosts: from the truth of networks and machines, unless an observer lies.

Knows what each observer can reach, not what a daemon makes of it. `Eyes` outlives the daemons. What was answered is
kept for the rules.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.ports.liveness import Question, Seen
from tests.world.machines import Machine
from tests.world.wires import Path, Wires

ANSWER_SECONDS: Final = 0.01
EVERYWHERE: Final = "*"


@dataclass(slots=True, kw_only=True)
class Eye:
    """One observer's sight. `is_asleep`: it answers nobody. `blind_over`: networks over which it reaches nobody.
    `cannot_reach`: hosts that only this observer can't reach. `lies`: what it says of a host, whatever is true; a lie
    has a control where the truth has one. `lag_seconds`: its answers come so much later."""

    is_asleep: bool = False
    blind_over: set[str] = field(default_factory=set)
    cannot_reach: set[HostName] = field(default_factory=set)
    lies: dict[HostName, Saw] = field(default_factory=dict)
    lag_seconds: float = 0.0

    def mend(self) -> None:
        self.is_asleep, self.lag_seconds = False, 0.0
        self.blind_over, self.cannot_reach, self.lies = set(), set(), {}

    def is_blind(self, network: str) -> bool:
        return bool(self.blind_over & {network, EVERYWHERE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer of an observer to a daemon, when it came, on the world's clock. `has_control`: in truth."""

    at: float
    daemon: str
    has_control: bool
    host: HostName
    look: Look


class Eyes:
    """All observers. `references`: addresses that answer besides machines, by network; `told` gets each answer."""

    def __init__(
        self, machines: Mapping[HostName, Machine], paths: Mapping[ProxyName, Path], wires: Wires,
        references: Mapping[str, Sequence[str]],
    ) -> None:  # fmt: skip
        self._machines, self._paths, self._wires, self._references = machines, paths, wires, references
        self._eyes: dict[ProxyName, Eye] = {}
        self.told: Callable[[Answered], None] = lambda answered: None

    @property
    def are_well(self) -> bool:
        """Whether every observer sees well and tells the truth."""
        return all(eye == Eye() for eye in self._eyes.values())

    def eye(self, name: ProxyName) -> Eye:
        return self._eyes.setdefault(name, Eye())

    async def look(self, daemon: str, name: ProxyName, question: Question) -> tuple[Seen, ...]:
        """Return what one observer sees of each target. An answer that is lost never comes."""
        eye, path = self.eye(name), self._paths[name]
        is_reached = name == ENGINE or (path.takes_from(daemon) and not self._wires.is_cut)
        if eye.is_asleep or not is_reached or path.is_stuck or path.is_dead:
            await asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(name, target, question)) for target in question.targets]
        if name != ENGINE and (not path.answers_to(daemon) or self._wires.is_cut or path.is_dead):
            await asyncio.get_running_loop().create_future()
        seen = tuple(task.result() for task in tasks)
        for each in seen:
            self._tell(daemon, name, each)
        return seen

    async def _one(self, name: ProxyName, target: Target, question: Question) -> Seen:
        eye = self.eye(name)
        is_alive = self._reaches(name, target.network, target.address)
        await asyncio.sleep((ANSWER_SECONDS if is_alive else question.timeout_seconds) + eye.lag_seconds)
        is_alive = is_alive or self._reaches(name, target.network, target.address)
        control = next((it for it in target.controls if self._is_control(name, target.network, it)), "")
        host = self._host_at(target.network, target.address)
        saw = Saw.ALIVE if is_alive else Saw.SILENT
        if host is not None:
            saw = eye.lies.get(host, saw)
        answered = ("tcp 22" if question.ports else "proxy") if saw is Saw.ALIVE else ""
        return Seen(
            network=target.network, target=target.address, saw=saw, answered=answered, control=control, why=answered,
            milliseconds=1000 * ANSWER_SECONDS if saw is Saw.ALIVE else None,
        )  # fmt: skip

    def _tell(self, daemon: str, name: ProxyName, seen: Seen) -> None:
        host, now = self._host_at(seen.network, seen.target), self._wires.now()
        if host is None:
            return
        look = Look(
            observer=Observer(name=name, domain=""), network=seen.network, target=seen.target, saw=seen.saw, at=now,
            control=seen.control, milliseconds=seen.milliseconds, why=seen.why,
        )  # fmt: skip
        self.told(Answered(at=now, daemon=daemon, has_control=seen.control != "", host=host, look=look))

    def _host_at(self, network: str, address: str) -> HostName | None:
        return next((it.name for it in self._machines.values() if it.has_address(network, address)), None)

    def _is_control(self, name: ProxyName, network: str, address: str) -> bool:
        """Its own machine is none."""
        carrier = self._paths[name].carrier
        is_own = carrier is not None and carrier.has_address(network, address)
        return not is_own and self._reaches(name, network, address)

    def _reaches(self, name: ProxyName, network: str, address: str) -> bool:
        """Return whether the observer gets an answer of that address over that network."""
        eye = self.eye(name)
        if eye.is_blind(network) or (name == ENGINE and self._wires.is_cut):
            return False
        if address in self._references.get(network, ()):
            return True
        machine = next((it for it in self._machines.values() if it.answers_at(network, address)), None)
        return machine is not None and machine.name not in eye.cannot_reach


class WorldLiveness:
    """ports.liveness.Liveness on a daemon's machine, and how that daemon asks proxies to look."""

    def __init__(self, eyes: Eyes, daemon: str) -> None:
        self._eyes, self._daemon = eyes, daemon

    async def look(self, question: Question, *, why_not: object = None) -> tuple[Seen, ...]:
        return await self._eyes.look(self._daemon, ENGINE, question)

    async def ask_proxy(self, name: ProxyName, question: Question, seconds: float) -> tuple[Seen, ...]:
        return await self._eyes.look(self._daemon, name, question)
