"""The part of the control port that concerns several controllers, and controllers as the store shows them."""

from collections.abc import Sequence

from fenced.model.names import MAIN_SHARD, HostName
from fenced.ports.control import NotFound, Refused, Standby
from fenced.ports.journal import ControllerReport, ControllerView, HeldShard
from tests.fakes.samples import START


def controller(
    name: str,
    *,
    epoch: int | None = None,
    shard: str = MAIN_SHARD,
    is_alive: bool = True,
    is_self: bool = False,
    address: str = "",
    unfit: tuple[str, ...] = (),
    lag: int = 0,
) -> ControllerView:
    """Return a controller as the store shows it: with an epoch it holds the shard."""
    held = () if epoch is None else (HeldShard(shard=shard, epoch=epoch, since=START - 600),)
    report = ControllerReport(name=name, address=address, version="1.0", unfit=unfit, lag=lag)
    return ControllerView(report=report, heard=START - 1, is_alive=is_alive, shards=held, is_self=is_self)


class FakeControllers:
    """A controller that acts alone, until a test makes it a standby (`follow`) or names others. `accepts_words`: as a
    standby it accepts what only restricts; one whose active controller is an older program does not."""

    name: str
    shard: str = MAIN_SHARD
    standby: Standby | None
    unfit: tuple[str, ...]
    controller_views: list[ControllerView]
    calls: list[tuple[object, ...]]
    accepts_words: bool = False

    def be_alone(self) -> None:
        self.name, self.standby, self.unfit, self.calls = "fenced-a", None, (), []
        self.controller_views = [controller("fenced-a", epoch=1, is_self=True)]

    def follow(self, active: str | None) -> None:
        """Become the standby fenced-b; `active`: the URL of fenced-a, which acts, or None if no controller does."""
        self.name = "fenced-b"
        self.standby = Standby(active)
        self.controller_views = [
            controller("fenced-a", epoch=None if active is None else 7, address=active or "", is_alive=bool(active)),
            controller("fenced-b", is_self=True),
        ]

    def controllers(self) -> Sequence[ControllerView]:
        return self.controller_views

    async def look_at_controllers(self) -> Sequence[ControllerView]:
        return self.controller_views

    async def refuse_at_standby(self, host: HostName | None = None) -> None:
        if self.standby is not None and self.standby.active is None:
            holders = (view for view in self.controller_views if view.shards and not view.is_self)
            raise Standby(next((view.report.address for view in holders), None))
        if self.standby is not None:
            raise self.standby

    async def _refuse_words(self) -> None:
        if not self.accepts_words:
            await self.refuse_at_standby()

    async def hand_over(self, *, shard: str, to: str, by: str, reason: str) -> None:
        """Note the call only: a test sets what the controllers are afterwards."""
        names = {view.report.name for view in self.controller_views}
        if shard != self.shard or (to and to not in names):
            raise NotFound(f"no {to or shard}")
        if not any(view.is_alive and not view.is_self for view in self.controller_views):
            raise Refused("alone", "no other controller is alive")
        self.calls.append(("hand_over", shard, to, by, reason))
