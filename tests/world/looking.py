"""How observers of the world look at hosts: from the truth of networks and machines, unless an observer lies.

Knows what each observer can reach, not what a daemon makes of it. `Eyes` outlives the daemons. What was answered is
kept for the rules.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.model.names import ENGINE, HostName, ProxyName
from tests.world.machines import Machine
from tests.world.wires import Path, Wires

ANSWER_SECONDS: Final = 0.01
PATIENCE_SECONDS: Final = 1.0
"""How much longer than the timeout of its probe a daemon waits for an observer."""
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

    async def look(
        self, daemon: str, host: HostName, observers: Sequence[Observer], targets: Sequence[Target],
        timeout_seconds: float, now: Callable[[], float],
    ) -> tuple[Look, ...]:  # fmt: skip
        """Return what each observer saw of each target, as far as answers came in time. `now`: the daemon's clock."""
        found: list[Look] = []
        looking = [
            asyncio.ensure_future(self._one(daemon, host, observer, target, timeout_seconds, now, found))
            for observer in observers
            for target in targets
        ]
        if looking:
            try:
                await asyncio.wait(looking, timeout=timeout_seconds + PATIENCE_SECONDS)
            finally:
                for task in looking:
                    task.cancel()
        return tuple(found)

    async def _one(
        self, daemon: str, host: HostName, observer: Observer, target: Target, timeout_seconds: float,
        now: Callable[[], float], found: list[Look],
    ) -> None:  # fmt: skip
        eye, path = self.eye(observer.name), self._paths[observer.name]
        is_reached = observer.name == ENGINE or (path.takes_from(daemon) and not self._wires.is_cut)
        if eye.is_asleep or not is_reached or path.is_stuck or path.is_dead:
            await asyncio.sleep(timeout_seconds + 2 * PATIENCE_SECONDS)
            return
        is_alive = self._reaches(observer, target.network, target.address)
        await asyncio.sleep((ANSWER_SECONDS if is_alive else timeout_seconds) + eye.lag_seconds)
        is_alive = is_alive or self._reaches(observer, target.network, target.address)
        control = next((it for it in target.controls if self._is_control(observer, target.network, it)), "")
        saw = eye.lies.get(host, Saw.ALIVE if is_alive else Saw.SILENT)
        if observer.name != ENGINE and (not path.answers_to(daemon) or self._wires.is_cut or path.is_dead):
            return
        look = Look(
            observer=observer, network=target.network, target=target.address, saw=saw, at=now(), control=control,
            milliseconds=1000 * ANSWER_SECONDS if saw is Saw.ALIVE else None,
            why="tcp 22" if saw is Saw.ALIVE else "",
        )  # fmt: skip
        found.append(look)
        self.told(Answered(at=self._wires.now(), daemon=daemon, has_control=control != "", host=host, look=look))

    def _is_control(self, observer: Observer, network: str, address: str) -> bool:
        return address not in observer.own and self._reaches(observer, network, address)

    def _reaches(self, observer: Observer, network: str, address: str) -> bool:
        """Return whether the observer gets an answer of that address over that network."""
        eye = self.eye(observer.name)
        if eye.is_blind(network) or (observer.name == ENGINE and self._wires.is_cut):
            return False
        if address in self._references.get(network, ()):
            return True
        machine = next((it for it in self._machines.values() if it.answers_at(network, address)), None)
        return machine is not None and machine.name not in eye.cannot_reach


async def ask_life(
    eyes: Eyes, daemon: str, command: c.AskLife, timeout_seconds: float, now: Callable[[], float]
) -> e.LifeAsked:
    """Look at a host, and make an event of what was seen."""
    looks = await eyes.look(daemon, command.host, command.observers, command.targets, timeout_seconds, now)
    alive = next((look.why for look in looks if look.saw is Saw.ALIVE), None)
    return e.LifeAsked(host=command.host, answered=alive, was_asked=bool(command.targets), looks=looks)
