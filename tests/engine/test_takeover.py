"""What a controller waits for between the taking of the lease and its first decision (S21, S22)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from fenced.model.names import PlugId, ProxyName, Token
from fenced.ports.proxies import FloorEcho
from tests.engine.pair import RACK, TTL_SECONDS, both, play
from tests.world.world import World


def test_what_only_a_standby_saw_of_a_lost_past_holds_the_active_controller() -> None:
    async def main() -> None:
        world = World(RACK)
        world.begin()
        first, second = world.daemons.values()
        await first.start()
        await asyncio.sleep(2.0)
        second.board.kept.seen.went_back = "the store lacks record 7"
        await second.start()
        await asyncio.sleep(20.0)
        assert first.engine is not None and not first.engine.fleet.is_standby
        assert "the store lacks record 7" in first.engine.fleet.state.store_hold
        await first.engine.control.release_store(by="a person", reason="looked at")
        await asyncio.sleep(60.0)
        assert first.engine.fleet.state.store_hold == "", "the release stands"
        await world.end()

    play(main())


def test_a_renewal_does_not_bring_back_a_lease_that_is_given_over() -> None:
    """Else a message is under way again when the lease is released, and may come after the successor's."""

    async def main() -> None:
        world, first, _ = await both()
        assert first.engine is not None
        reactor, until = first.engine.reactor, first.engine.lease.until
        assert reactor.holds_lease()
        await asyncio.sleep(1.0)
        reactor.give_up("handed over")
        await first.engine.lease.renew()  # it was under way
        await asyncio.sleep(1.0)
        assert first.engine.lease.until > until and not reactor.holds_lease() and not reactor.has_lease()
        await world.end()

    play(main())


class Knowing:
    """Floors of one proxy that has a command under way of which the journal knows nothing."""

    def __init__(self, seconds: float, *, epoch: int = 0) -> None:
        self._seconds, self._epoch = seconds, epoch

    def highest_epoch(self, *, above: int) -> int:
        return max(above, self._epoch)

    def report_higher_epoch_to(self, report: Callable[[int], None]) -> None:
        pass

    async def raise_floors(self, *, epoch: int, holder: str, seconds: float) -> Mapping[ProxyName, FloorEcho]:
        unknown = (PlugId("somewhere"), Token(epoch=epoch - 1, sequence=10**6))
        under_way = {unknown: self._seconds}
        return {ProxyName("px"): FloorEcho(epoch=epoch, holder=holder, is_raised=True, under_way=under_way)}


def test_a_command_that_only_a_proxy_knows_is_waited_out() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert second.engine is not None
        takeover = second.engine.takeover
        takeover._around = replace(takeover._around, floors=Knowing(40.0))
        await first.crash()
        died = asyncio.get_running_loop().time()
        while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert asyncio.get_running_loop().time() - died > TTL_SECONDS / 2 + 40.0
        await world.end()

    play(main())


def test_the_first_decision_is_above_every_epoch_that_a_proxy_knows() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert second.engine is not None
        takeover = second.engine.takeover
        takeover._around = replace(takeover._around, floors=Knowing(0.0, epoch=50))
        await first.crash()
        await asyncio.sleep(2 * TTL_SECONDS)
        assert second.engine.fleet.epoch == 51
        await world.end()

    play(main())
