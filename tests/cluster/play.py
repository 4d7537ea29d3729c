"""Plays one fault against fences at some points, waits until all is well again, and judges what happened."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.bed import Bed, Controller, bed
from tests.cluster.evidence import Evidence, collect, open_operations, unsent
from tests.cluster.faults import FAULTS, Hit
from tests.cluster.judge import judge
from tests.cluster.points import Point, bring, host_at
from tests.e2e.programs import background
from tests.net import until

LOG_CHARACTERS: Final = 8000
SPARE: Final = "spare"
"""A host that lives until the fault is over."""
PAUSED: Final = "paused"
"""A host that lives, with automatic fencing paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Seconds from the fault until a standby took the lease, and until a proxy got the first command of a new epoch;
    None if that did not happen."""

    to_taking: float | None
    to_command: float | None

    def __str__(self) -> str:
        parts = {"taken": self.to_taking, "first command": self.to_command}
        said = [f"{name} after {seconds:.2f} s" for name, seconds in parts.items() if seconds is not None]
        return ", ".join(said) or "nothing taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    evidence: Evidence
    breaches: Sequence[str]
    gaps: Gaps


async def play(folder: Path, name: str, points: Sequence[Point]) -> Outcome:
    """Raises AssertionError if things do not become well again; the text has the ends of the logs."""
    fault = FAULTS[name]
    hosts = [*(host_at(point) for point in points), SPARE, PAUSED]
    async with bed(folder, hosts, is_synchronous=not fault.loses) as it:
        first, second = it.controllers.values()
        assert await first.is_active()
        if fault.before is not None:
            await fault.before(it)
        pause = await paused(first)
        try:
            await bring(it, *points)
            struck = time.time()
            await fault.hit(Hit(it=it, active=first, standby=second, points=tuple(points)))
            await repair(it)
            if fault.loses:
                await released(it)
            await well(it)
            assert pause in [each["id"] for each in (await (await it.active()).api.get("pauses"))["items"]]
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{told(it)}") from exc
        evidence = await collect(it)
        return Outcome(evidence=evidence, breaches=judge(evidence), gaps=_gaps(evidence, struck))


async def paused(controller: Controller) -> str:
    """Return the id of a pause that has to outlast everything."""
    body = {"match": f"host={PAUSED}", "reason": "a test"}
    answer = await controller.api.call("POST", "pauses", body=body)
    assert answer.status in {200, 201}, answer.text
    return str(answer.body["id"])


async def repair(it: Bed) -> None:
    """Undo cuts, let every call go, and start what has ended."""
    it.chassis.release()
    await it.network.mend()
    for name in it.controllers:
        it.network.plug_in(name)
    await it.run_again()


async def released(it: Bed) -> None:
    """Show that the store which lost its end holds automatic fencing, and release it."""
    await _until(it, lambda: bool(it.wire.events("fleet.store_went_back")), "the loss is announced")
    it.die(SPARE)
    await _until(it, lambda: it.wire.states()[SPARE] == "suspect", f"{SPARE} is suspect")
    active = await it.active()
    gates = (await active.api.get(f"hosts/{SPARE}/explain"))["gates"]
    assert [gate["open"] for gate in gates if gate["gate"] == "store"] == [False], gates
    assert not [call for call in it.chassis.calls if call.action == "off" and call.plug in it.plugs[SPARE]]
    answer = await active.api.call("POST", "store/release", body={"reason": "a test"})
    assert answer.status < 300, answer.text


async def well(it: Bed) -> None:
    """Return once every host runs and is `healthy`, nothing is under way, and both controllers are ready."""
    for host in it.plugs:
        await _until(it, lambda host=host: it.is_up(host) and it.wire.states()[host] == "healthy", f"{host} is well")

    async def is_quiet() -> bool:
        return not await open_operations(it) and not await unsent(it) and not it.chassis.is_busy

    await _until(it, is_quiet, "nothing is under way")
    for controller in it.controllers.values():
        await _until(it, controller.api.is_ready, f"{controller.name} is ready")


async def _until(it: Bed, condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for it, and meanwhile start each controller that ends, as its service manager does."""
    async with background(it.keep_running(), "service manager"):
        await until(condition, what=what)


def _gaps(evidence: Evidence, struck: float) -> Gaps:
    takings = [taking for taking in evidence.takings if taking.at > struck]
    taken = min(takings, key=lambda taking: taking.at, default=None)
    epoch = max((command.epoch for command in evidence.commands if command.started < struck), default=0)
    command = min((command.started for command in evidence.commands if command.epoch > epoch), default=None)
    return Gaps(
        to_taking=None if taken is None else taken.at - struck,
        to_command=None if command is None else command - struck,
    )  # fmt: skip


def told(it: Bed) -> str:
    """Return the ends of all logs, and what became of each host."""
    parts = [f"{host}: {it.wire.states().get(host)}, up {it.is_up(host)}" for host in it.plugs]
    for controller in it.controllers.values():
        parts += [f"-- {controller.name}", controller.program.log[-LOG_CHARACTERS:]]
    for name, program in it.proxies.items():
        parts += [f"-- {name}", program.log[-LOG_CHARACTERS // 4 :]]
    parts += ["-- calls", *map(str, it.chassis.calls)]
    return "\n".join(parts)
