"""Looks at a silent host from this machine: TCP to its addresses, and to controls on the same networks.

Implements ports.liveness for the daemon and for the proxy agent. It knows neither hosts nor gates. When in doubt it
decides for life: anything that a living kernel may have sent is an answer, and a probe that could not be sent (no
descriptors left, no route, no resolver) or was not allowed never counts as silence.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fenced.core.heard.looks import Saw, Target
from fenced.host.probing import Probe, is_this_machine, reason
from fenced.host.resolving import Resolving, Unresolved, Where
from fenced.model.addresses import is_loopback
from fenced.model.text import one_line, some
from fenced.ports.liveness import CONTROL_SECONDS, Question, Seen, WhyNot

LOOKS_MAX: Final = 256
"""Targets that are looked at at once, over all hosts. Each has a few sockets: its ports, and those of its controls."""
GOALS_MAX: Final = 64
CONTROLS_MAX: Final = 8
CONTROL_PORTS_MAX: Final = 8
BANNER_SECONDS: Final = 0.5
SSH: Final = 22
NAMED_MAX: Final = 4


class TcpLiveness:
    """`looks_max`: targets at once. The timeout of a look begins when it gets its turn."""

    def __init__(self, *, looks_max: int = LOOKS_MAX) -> None:
        self._slots = asyncio.Semaphore(looks_max)
        self._resolving = Resolving()

    async def look(self, question: Question, *, why_not: WhyNot = lambda address, port: None) -> tuple[Seen, ...]:
        """See ports.liveness. On a loopback address a refusal is no answer, because this machine's kernel sends it."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._look(target, question, () if index else question.agents, why_not),
                    name=f"look at {target.address or 'proxy agents'}",
                )
                for index, target in enumerate(question.targets)
            ]
        return tuple(task.result() for task in tasks)

    async def _look(
        self, target: Target, question: Question, agents: Iterable[tuple[str, int]], why_not: WhyNot
    ) -> Seen:
        async with self._slots:
            view = _View(target, question, agents, why_not, self._resolving)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(question.timeout_seconds):
                    await view.look()
            return view.seen()


@dataclass(slots=True, kw_only=True)
class _Goal:
    """One host and port to be probed, at each address of the host. `refused`: what may not be probed, and why.

    `unresolved`: why the host has no address.
    """

    label: str
    host: str
    port: int
    is_agent: bool = False
    unresolved: str = "not resolved in time"
    probes: list[Probe] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def sent(self) -> float | None:
        """When the first probe left."""
        return min((probe.sent for probe in self.probes if probe.sent is not None), default=None)

    @property
    def why_unknown(self) -> str:
        """Why silence of this goal would prove nothing; "": it would."""
        lacks = [probe.hindrance for probe in self.probes if probe.is_lack]
        if self.refused or self.unresolved or lacks:
            return "; ".join(self.refused) or self.unresolved or lacks[0]
        hindrances = [probe.hindrance or "not sent in time" for probe in self.probes]
        return "" if self.sent is not None else "; ".join(hindrances) or f"{self.host[:100]} has no address"


class _View:
    """One look at one target: the first answer of the target ends it; one control that answers is enough."""

    def __init__(
        self, target: Target, question: Question, agents: Iterable[tuple[str, int]], why_not: WhyNot,
        resolving: Resolving,
    ) -> None:  # fmt: skip
        self._target, self._question = target, question
        self._why_not, self._resolving = why_not, resolving
        ports = question.ports if target.address else ()
        goals = [_Goal(label=f"tcp {port}", host=target.address, port=port) for port in ports]
        goals += [_Goal(label=f"proxy {host}:{port}", host=host, port=port, is_agent=True) for host, port in agents]
        self._goals = goals[:GOALS_MAX]
        self._begun = asyncio.Event()
        self._answered, self._why, self._is_by_agent = "", "", False
        self._milliseconds: float | None = None
        self._pursuing: dict[int, asyncio.Task[None]] = {}
        self._reaching: list[asyncio.Task[None]] = []
        self._controls: list[tuple[float, str]] = []
        self._control_faults: dict[str, str] = {}

    async def look(self) -> None:
        """Probe until the target answers, or all that can be known is known."""
        ports = self._question.ports[:CONTROL_PORTS_MAX]
        async with asyncio.TaskGroup() as controls:
            for control in self._target.controls[:CONTROLS_MAX]:
                task = controls.create_task(self._reach(control, ports), name=f"control {control}")
                self._reaching.append(task)
            async with asyncio.TaskGroup() as goals:
                for index, goal in enumerate(self._goals):
                    task = goals.create_task(self._pursue(index, goal), name=f"look at {goal.host}:{goal.port}")
                    self._pursuing[index] = task
            if self._is_control_idle or not any(goal.sent for goal in self._goals):
                _cancel(self._reaching)

    @property
    def _is_control_idle(self) -> bool:
        """Whether nobody asks for a control any more: the target answered."""
        return bool(self._answered) and not self._question.needs_control

    async def _pursue(self, index: int, goal: _Goal) -> None:
        """Probe each address of the goal."""
        try:
            found = await self._resolving.addresses(goal.host, goal.port)
        except Unresolved as exc:
            goal.unresolved = str(exc)
            return
        goal.unresolved = ""
        for where in found:
            why = self._why_not(where[1][0], goal.port)
            if why is None:
                goal.probes.append(Probe(where))
            else:
                goal.refused.append(why)
        async with asyncio.TaskGroup() as group:
            for probe in goal.probes:
                group.create_task(self._try(index, goal, probe), name=f"look at {probe.where[1]}")

    async def _try(self, index: int, goal: _Goal, probe: Probe) -> None:
        """Probe one address until it answers, or for ever."""
        with probe:
            try:
                is_accepted = await probe.connect(self._begun.set)
            except OSError:
                return  # silence, as far as it was sent
            if not is_accepted and is_loopback(probe.where[1][0]):
                return
            self._alive(index, goal, probe)
            if is_accepted:
                self._why = f"{goal.label} accepted{_banner(await probe.banner(BANNER_SECONDS), goal.port)}"
            _cancel(self._pursuing.values())

    def _alive(self, index: int, goal: _Goal, probe: Probe) -> None:
        """Note the first answer, and end all other probes."""
        if not self._answered:
            by = f"by {probe.refused_by}, which may be a firewall" if probe.refused_by else "its kernel answers"
            self._answered, self._why, self._is_by_agent = goal.label, f"{goal.label} refused: {by}", goal.is_agent
            self._milliseconds = (asyncio.get_running_loop().time() - (probe.sent or 0.0)) * 1000
            _cancel(task for other, task in self._pursuing.items() if other != index)
            if self._is_control_idle:
                _cancel(self._reaching)

    # -- controls -----------------------------------------------------------------------------------------------------

    async def _reach(self, control: str, ports: Iterable[int]) -> None:
        """Probe a control, beginning with the target's first probe."""
        try:
            async with asyncio.timeout(None) as bound:
                addresses = await self._resolving.addresses(control, 0)
                found = [(family, (address, port)) for port in ports for family, (address, _) in addresses]
                await self._begun.wait()
                bound.reschedule(asyncio.get_running_loop().time() + CONTROL_SECONDS)
                async with asyncio.TaskGroup() as group:
                    for where in found:
                        why = self._why_not(*where[1])
                        if why is None:
                            group.create_task(self._try_control(control, where), name=f"control {where[1]}")
                        else:
                            self._control_faults.setdefault(control, why)
        except TimeoutError:
            self._control_faults.setdefault(control, "no answer within a second")
        except Unresolved as exc:
            self._control_faults.setdefault(control, str(exc))

    async def _try_control(self, control: str, where: Where) -> None:
        is_loop, is_lab = is_loopback(where[1][0]), is_loopback(self._target.address)
        if (is_loop and not is_lab) or (not is_loop and is_this_machine(where)):
            self._control_faults[control] = "it is this machine, which is reached without a network"
            return
        with Probe(where) as probe:
            try:
                is_accepted = await probe.connect(_nothing)
            except OSError as exc:
                self._control_faults.setdefault(control, probe.hindrance or reason(exc))
                return
            if probe.refused_by:
                self._control_faults.setdefault(control, f"refused by {probe.refused_by}, not by itself")
                return
        if is_accepted or not is_loopback(where[1][0]):
            self._controls.append((asyncio.get_running_loop().time(), control))
            _cancel(self._reaching)

    @property
    def _control(self) -> str:
        """The control that answered within a second of the target's first probe."""
        sent = min((goal.sent for goal in self._goals if goal.sent is not None), default=None)
        if sent is None:
            return ""
        return next((name for at, name in self._controls if abs(at - sent) <= CONTROL_SECONDS), "")

    # -- the result ---------------------------------------------------------------------------------------------------

    def seen(self) -> Seen:
        """Return what was seen. An allowed look whose probes all left and that had no answer is silence."""
        saw, why = self._verdict()
        is_wanted = saw is Saw.SILENT or (saw is Saw.ALIVE and self._question.needs_control)
        fault = "; ".join(self._without_control()) if is_wanted and self._question.needs_control else ""
        return Seen(
            network=self._target.network,
            target=self._target.address,
            saw=saw,
            answered=self._answered,
            control=self._control if is_wanted else "",
            milliseconds=None if self._milliseconds is None else round(self._milliseconds, 1),
            why=one_line(why),
            is_by_agent=self._is_by_agent,
            control_fault=one_line(fault),
        )

    def _verdict(self) -> tuple[Saw, str]:
        if self._answered:
            return Saw.ALIVE, self._why
        if not self._goals:
            return Saw.UNKNOWN, "there is no port to look at: [detection] probe_ports is empty"
        needed = [goal for goal in self._goals if not goal.is_agent] or self._goals
        unknown = dict.fromkeys(goal.why_unknown for goal in needed if goal.why_unknown)
        if unknown:
            return Saw.UNKNOWN, some(list(unknown), NAMED_MAX, between="; ")
        return Saw.SILENT, "; ".join((self._silence(), *self._left_out(), *self._without_control()))

    def _silence(self) -> str:
        labels = some([goal.label for goal in self._goals if goal.sent is not None], NAMED_MAX)
        told = {probe.told.by for goal in self._goals for probe in goal.probes if probe.told is not None}
        said = f" ({', '.join(sorted(told))}: nobody is there)" if told else ""
        return f"no answer of {labels} within {self._question.timeout_seconds:g} s{said}"

    def _left_out(self) -> list[str]:
        """An agent that can't be asked costs no vote: the host's address was asked."""
        left_out = [f"{goal.label} not asked: {goal.why_unknown}" for goal in self._goals if goal.why_unknown]
        return left_out[:NAMED_MAX]

    def _without_control(self) -> list[str]:
        if self._control:
            return []
        if not self._target.controls:
            return ["there is no control on this network: another host that is heard, or [detection] references"]
        faults = [f"{name}: {why}" for name, why in self._control_faults.items()]
        return [f"no control answered ({some(faults, NAMED_MAX)})"]


def _nothing() -> None:
    """Nothing to note when a control's probe leaves."""


def _banner(banner: str, port: int) -> str:
    if banner and (port == SSH or banner.startswith("SSH-")):
        return f": {banner}"
    return ", but sshd says nothing: its kernel lives" if port == SSH else ""


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in list(tasks):
        task.cancel()
