"""The faults. Each hits while fences are under way, and returns when everything may be repaired.

A fault does its damage, calls `strike`, and waits until the damage had its effect, mostly that the other controller
took over. `play` repairs what is cut, frozen or has ended.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.cluster.bed import BROKER, LEASE_SECONDS, PRIMARY, PROXIES, STANDBY, Bed, Controller
from tests.cluster.points import Point, host_at
from tests.net import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a fault meets. `active` holds the lease when the fault begins."""

    it: Bed
    active: Controller
    standby: Controller
    points: tuple[Point, ...]

    def strike(self) -> None:
        """The damage is done: later calls pass the gates, and the broker runs. Calls under way go on waiting."""
        self.it.chassis.pass_new()
        self.it.freeze_broker(is_frozen=False)

    async def takes(self) -> None:
        """Return once the other controller has the lease."""
        await until(lambda: self.standby.takings > 0, what=f"{self.standby.name} takes over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`before`: what happens before the fences begin. `loses`: the store loses its newest records."""

    hit: Callable[[Hit], Awaitable[None]]
    before: Callable[[Bed], Awaitable[None]] | None = None
    loses: bool = False


async def killed(hit: Hit) -> None:
    """kill -9 of the active."""
    await hit.active.program.kill()
    hit.strike()
    await hit.takes()


async def frozen(hit: Hit) -> None:
    """SIGSTOP of the active for longer than the lease, then SIGCONT while its commands still run at the proxies."""
    hit.active.program.signal(signal.SIGSTOP)
    hit.strike()
    await hit.takes()
    hit.active.program.signal(signal.SIGCONT)
    await until(lambda: _has_given_up(hit.active), what=f"{hit.active.name} notices that it lost the lease")


async def cut_from_database(hit: Hit) -> None:
    await hit.it.network.cut(hit.active.name, PRIMARY, STANDBY)
    hit.strike()
    await hit.takes()


async def cut_from_bus(hit: Hit) -> None:
    await hit.it.network.cut(hit.active.name, BROKER)
    hit.strike()
    await hit.takes()


async def cut_from_both(hit: Hit) -> None:
    await hit.it.network.cut(hit.active.name, BROKER, PRIMARY, STANDBY)
    hit.strike()
    await hit.takes()


async def cut_from_proxies(hit: Hit) -> None:
    await hit.it.network.cut(hit.active.name, *PROXIES)
    hit.strike()
    await hit.takes()


async def unplugged(hit: Hit) -> None:
    """The active's cable: its last connections end nowhere."""
    hit.it.network.unplug(hit.active.name)
    hit.strike()
    await hit.takes()


async def database_restarted(hit: Hit) -> None:
    hit.it.databases.primary.stop()
    hit.strike()
    await hit.it.databases.primary.start()


async def database_hung(hit: Hit) -> None:
    """The primary stands still for longer than the lease, with all connections open."""
    hit.it.databases.primary.freeze(is_frozen=True)
    hit.strike()
    await asyncio.sleep(LEASE_SECONDS + 2)
    hit.it.databases.primary.freeze(is_frozen=False)


async def no_replication(it: Bed) -> None:
    await it.network.cut(PRIMARY, STANDBY)


async def promoted_without_the_fences(hit: Hit) -> None:
    """The standby database takes over, and lacks everything since before the fences."""
    await _promote(hit.it)
    hit.strike()


async def promoted_without_the_end(hit: Hit) -> None:
    """The standby database takes over, and lacks what followed the points: announcements, if fences got so far."""
    await no_replication(hit.it)
    hit.it.chassis.release()
    hit.strike()
    for point in hit.points:
        await hit.it.wire.event("host.fenced", host_at(point))
    await _promote(hit.it)


async def both_restarted(hit: Hit) -> None:
    await asyncio.gather(hit.active.program.kill(), hit.standby.program.kill())
    hit.strike()
    await asyncio.gather(hit.active.start(), hit.standby.start())


async def handed_over(hit: Hit) -> None:
    """An operator lets the active give the lease to the standby. It lets its steps reach a safe point first."""
    body = {"to": hit.standby.name, "reason": "a test"}
    answer = await hit.active.api.call("POST", "controllers/hand-over", body=body)
    assert answer.status == 202, answer.text
    hit.strike()
    hit.it.chassis.release()
    await hit.takes()


async def terminated(hit: Hit) -> None:
    """SIGTERM of the active."""
    hit.active.program.signal(signal.SIGTERM)
    hit.strike()
    hit.it.chassis.release()
    await hit.takes()


async def rolled(hit: Hit) -> None:
    """A rolling upgrade: the standby first, then the active."""
    assert await hit.standby.program.end() == 0
    hit.strike()
    await hit.standby.start()
    hit.it.chassis.release()
    assert await hit.active.program.end() == 0
    await hit.takes()


FAULTS: Final[Mapping[str, Fault]] = {
    "killed": Fault(hit=killed),
    "frozen": Fault(hit=frozen),
    "unplugged": Fault(hit=unplugged),
    "cut from the database": Fault(hit=cut_from_database),
    "cut from the bus": Fault(hit=cut_from_bus),
    "cut from database and bus": Fault(hit=cut_from_both),
    "cut from the proxies": Fault(hit=cut_from_proxies),
    "database restarted": Fault(hit=database_restarted),
    "database hung": Fault(hit=database_hung),
    "promoted without the fences": Fault(hit=promoted_without_the_fences, before=no_replication, loses=True),
    "promoted without the end": Fault(hit=promoted_without_the_end, loses=True),
    "both restarted": Fault(hit=both_restarted),
    "handed over": Fault(hit=handed_over),
    "terminated": Fault(hit=terminated),
    "rolled": Fault(hit=rolled),
}


async def _promote(it: Bed) -> None:
    it.databases.primary.kill()
    await it.databases.promote()


def _has_given_up(controller: Controller) -> bool:
    return not controller.program.is_running or '"handed_over"' in controller.program.log
