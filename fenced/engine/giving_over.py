"""Decides whether this controller is fit to hold the lease, and gives the lease over at a safe point.

A controller is fit while it hears the bus, follows the journal, reaches proxies and has the configuration in force. One
that is not gives over to one that is. Fitness chooses who should act; only the store's lease says who may.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from fenced import __version__
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.beside import Beside
from fenced.engine.controllers import Controllers
from fenced.engine.effects import EngineEffects
from fenced.engine.outbox import Outbox
from fenced.engine.reactor import Reactor
from fenced.engine.standby import Standby as Follower
from fenced.model.groups import leaf
from fenced.model.names import HostName
from fenced.ports.bus import Bus
from fenced.ports.clock import Clock
from fenced.ports.control import NotFound, Refused, Standby
from fenced.ports.journal import ControllerReport, ControllerView, Journal, StoreError, StoreWentBack
from fenced.ports.proxies import ProxyView

log = structlog.get_logger(__name__)

DRAIN_LOOK_SECONDS = 0.1
REST_SECONDS = 1.0
"""How long a release waits for the last records of this life: one after it would be refused."""
REST_LOOK_SECONDS = 0.01
WENT_BACK = "store_went_back: "
"""Begins the reason of a standby that saw records which the store lacks now."""
GATHER_SECONDS = 2.0
"""Kept states of all hosts come at once with the subscription."""


Shown = Mapping[HostName, e.StateSeen]
"""What the bus shows of hosts."""


class HandedOver(Exception):
    """This controller ended its life at a safe point; the next one is a standby first.

    `shown`: what the bus showed of the hosts, for the next life to begin with.
    """

    def __init__(self, why: str, shown: Shown | None = None) -> None:
        super().__init__(why)
        self.shown = shown or {}


def shown_before(group: BaseException | None) -> Shown:
    """Return what an ended life leaves to the next one: that of its HandedOver, if there is one in the group."""
    if isinstance(group, BaseExceptionGroup):
        return next((found for it in group.exceptions if (found := shown_before(it))), {})
    return group.shown if isinstance(group, HandedOver) else {}


class GivingOver:
    """Runs beside the reactor, in the engine's task group."""

    def __init__(
        self, *, fleet: Fleet, clock: Clock, journal: Journal, bus: Bus, proxies: Callable[[], Sequence[ProxyView]],
        standby: Follower, controllers: Controllers, reactor: Reactor, effects: EngineEffects, outbox: Outbox,
        beside: Beside | None = None,
    ) -> None:  # fmt: skip
        self._beside = beside or Beside()
        self._fleet, self._clock, self._journal, self._bus = fleet, clock, journal, bus
        self._proxies, self._standby, self._controllers = proxies, standby, controllers
        self._reactor, self._effects, self._outbox = reactor, effects, outbox
        self._group: asyncio.TaskGroup | None = None
        self._unfit_since: float | None = None
        self._doubts: set[str] = set()
        self._giving_over: asyncio.Task[None] | None = None
        self.has_let_go = False
        """Whether this life gave its lease away, so that its loss ends nothing but this life."""

    def run_in(self, group: asyncio.TaskGroup) -> None:
        """Set the task group that ends with HandedOver."""
        self._group = group

    def unfit(self) -> tuple[str, ...]:
        """Return why another controller should hold the lease; empty if this one is fit."""
        why = []
        if not self._bus.is_connected:
            why.append("the bus is not connected")
        if self._fleet.is_standby and self._standby.refusal:
            why.append(f"the journal can't be followed: {self._standby.refusal}")
        asked = [view for view in self._proxies() if view.is_up is not None]
        if asked and not any(view.is_up for view in asked):
            why.append("no proxy answers")
        if self._fleet.is_standby and self._fleet.own.is_store_older:
            why.append(f"{WENT_BACK}{self._fleet.own.store_doubt}")
        suspected = [name for name in self._fleet.troubled if self._fleet.host(name).is_own_machine]
        if suspected:  # this controller must not decide about its own machine (S18)
            why.append(f"it runs on {min(suspected)}, which is {self._fleet.hosts[min(suspected)].state.value}")
        active = self._controllers.active()
        if active is not None and not active.is_self and active.report.configuration != self._configuration:
            why.append("config_differs: this controller has another configuration than the active one")
        return tuple(why)

    @property
    def _configuration(self) -> str:
        return self._fleet.durable_inventory.digest

    def patience_seconds(self) -> float:
        """Return how much longer than others this controller waits for a lease that nobody holds.

        A fit one takes it before an unfit one, and one with fewer shards before a fuller one.
        """
        unfit_seconds = self._fleet.inventory.daemon.lease_ttl_seconds if self.unfit() else 0.0
        return unfit_seconds + self._beside.patience()

    def unfit_marked(self) -> tuple[str, ...]:
        """Return the same as the report of all shards has it."""
        return tuple(f"{self._beside.mark}{reason}" for reason in self.unfit())

    def report(self) -> ControllerReport:
        """Return what this controller says of itself: of all the shards that it follows."""
        daemon, takes = self._fleet.inventory.daemon, self._beside.takes
        return ControllerReport(
            name=daemon.name, address=daemon.address, version=__version__,
            unfit=(*self.unfit_marked(), *self._beside.unfit()), lag=self._standby.lag + self._beside.lag(),
            configuration=self._configuration, takes=None if takes is None else takes(),
        )  # fmt: skip

    def went_back(self, group: BaseExceptionGroup[StoreWentBack]) -> str:
        """Return what this life says of itself once it noticed that the store went back."""
        return f"{self._beside.mark}{WENT_BACK}{leaf(group)}"

    def look(self) -> None:
        """Give over to a fit controller once this one has been unfit for a whole lease, and hear its doubts."""
        self._hear_doubts()
        now = self._clock.now()
        unfit = self.unfit()
        if not unfit or self._fleet.is_standby:
            self._unfit_since = None
            return
        if self._unfit_since is None:
            self._unfit_since = now
        is_long = now - self._unfit_since >= self._fleet.inventory.daemon.lease_ttl_seconds
        if is_long and self._giving_over is None and (others := self._controllers.fit_others()):
            log.warning("giving_over", why=list(unfit), fit=[view.report.name for view in others])
            self._reactor.deliver(e.HandOverAsked(to="", by="fenced", reason="; ".join(unfit)))
            self._begin_to_give_over("")

    def _hear_doubts(self) -> None:
        """Hold automatic fencing if another controller saw more of the store than there is now."""
        if not self._fleet.is_standby:
            for doubt in self._new_doubts(self._controllers.views):
                self._reactor.deliver(e.DoubtReported(why=doubt))

    async def doubts(self) -> tuple[str, ...]:
        """Return what other controllers saw that the store lacks, as they report it now: asked at a takeover, before
        anything is decided."""
        return tuple(self._new_doubts(await self._controllers.now()))

    def _new_doubts(self, views: Sequence[ControllerView]) -> Iterator[str]:
        """Yield each doubt once: an operator's release of it stands."""
        went_back = f"{self._beside.mark}{WENT_BACK}"
        for view in views:
            for reason in view.report.unfit if view.is_alive and not view.is_self else ():
                doubt = f"{view.report.name} says that {reason.removeprefix(went_back)}"
                if reason.startswith(went_back) and doubt not in self._doubts:
                    self._doubts.add(doubt)
                    yield doubt

    async def hand_over(self, *, to: str, by: str, reason: str) -> None:
        """Give the lease over at a safe point: `to` is a controller's name, or "" for any.

        Returns once that is journalled; this life ends with HandedOver. Raises Standby, Refused, NotFound, Unavailable.
        """
        if self._fleet.is_standby:
            raise Standby(self._controllers.where_active())
        await self._controllers.look()
        if to == self._fleet.inventory.daemon.name:
            raise NotFound(f"{to} holds it already; name another controller")
        others = {view.report.name: view for view in self._controllers.views if not view.is_self}
        if to and to not in others:
            raise NotFound(f"no other controller {to}; known: {', '.join(sorted(others)) or 'none'}")
        fit = [view.report.name for view in self._controllers.fit_others()]
        if to and to not in fit:
            view = others[to]
            why = "; ".join(view.report.unfit) if view.is_alive else "it does not report"
            raise Refused("unfit", f"{to} can't take over: {why}")
        if not fit:
            raise Refused("alone", "no other fit controller could take over")
        await self._reactor.ask(e.HandOverAsked(to=to, by=by, reason=reason))
        self._begin_to_give_over(to)

    def _begin_to_give_over(self, to: str) -> None:
        assert self._group is not None
        if self._giving_over is None:
            self._giving_over = self._group.create_task(self._give_over(to), name="give over")

    async def _give_over(self, to: str) -> None:
        await self.stop_acting()
        await self._let_go("handed over", to=to, is_for_others=True)
        await self._outbox.say("standby")  # the others look at the store when they hear it
        raise HandedOver(f"the lease was given to {to or 'another controller'}")

    async def leave(self) -> None:
        """Give the lease up before an orderly stop, so that a standby acts while this process is taken down.

        A command that is still under way keeps it: it is killed first.
        """
        if not self._fleet.is_standby and not self._effects.commands_in_flight:
            await self._let_go("the daemon stops", to="", is_for_others=False)

    async def _let_go(self, why: str, *, to: str, is_for_others: bool) -> None:
        self._reactor.give_up(why)
        await self._outbox.settle()
        end = self._clock.now() + REST_SECONDS
        while not self._reactor.is_resting and self._clock.now() < end:  # noqa: ASYNC110 - bounded, once a life
            await asyncio.sleep(REST_LOOK_SECONDS)
        self.has_let_go = True
        try:
            await self._journal.release(to=to, is_for_others=is_for_others)
        except StoreError as exc:
            log.error("lease_not_released", error=str(exc), advice="it ends by itself")

    def begin_anew(self, shown: Callable[[], Shown]) -> None:
        """End this life for one with an epoch above all that the bus shows, which `shown` returns (S22)."""
        assert self._group is not None
        if self._giving_over is None:
            self._giving_over = self._group.create_task(self._begin_anew(shown), name="begin anew")

    async def _begin_anew(self, shown: Callable[[], Shown]) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        await self.stop_acting()
        self._reactor.deliver(e.LeaseLost(why="the bus shows a newer epoch"))
        await self._outbox.settle()
        raise HandedOver("the bus shows a newer epoch", shown())

    async def stop_acting(self) -> None:
        """Start nothing new and let running power steps reach a safe point, at most `shutdown_grace`."""
        self._reactor.deliver(e.DrainStarted())
        end = self._clock.now() + self._fleet.inventory.daemon.shutdown_grace_seconds
        while self._effects.commands_in_flight and self._clock.now() < end:  # noqa: ASYNC110 - bounded, once a life
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
