"""One control port over several shards: each request goes to the shard that it concerns, or to all.

Each shard has an engine of its own, which decides, and may be held here while another controller holds the next. So a
request to all shards can be obeyed by some of them. What restricts (disarm, pause) goes to every shard, whatever the
others answer. What loosens (arm, end of a pause, release of the store) goes to one after the other, and to none if one
of them is a standby. Either way the error names the shards that did not obey. With one shard this module is not used.
"""

import asyncio
import copy
import hashlib
import heapq
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from fenced.core.allowed import match as selection
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.state import Operation
from fenced.core.idle.told import ClusterSaving, SavingTotals
from fenced.engine import auditing, merging
from fenced.model.inventory import Inventory
from fenced.model.names import HostName, OperationId
from fenced.model.positions import Position
from fenced.model.power import Action, OperationState
from fenced.ports.bus import Health
from fenced.ports.control import (
    Accepted,
    Audit,
    Control,
    Explanation,
    FleetView,
    Happened,
    HostView,
    NotEverywhere,
    NotFound,
    NotObeyed,
    Readiness,
    Refused,
    Standby,
    Unavailable,
)
from fenced.ports.decisions import DecisionPage
from fenced.ports.hosts import HostsLike, MappedHost, OperationsLike
from fenced.ports.journal import ControllerView, Page
from fenced.ports.proxies import ProxyView

T = TypeVar("T")
Failure = NotFound | Refused | Unavailable


class ManyShards:
    """`shards`: the control of every shard of the configuration, held or followed. `shard_of` returns the shard of a
    host, None for a host that is not configured. `inventory` returns that of the whole configuration."""

    def __init__(
        self, shards: Mapping[str, Control], *, shard_of: Callable[[HostName], str | None],
        inventory: Callable[[], Inventory],
    ) -> None:  # fmt: skip
        assert shards, "there is a shard"
        self._shards: dict[str, Control] = dict(sorted(shards.items()))
        self._shard_of, self._inventory = shard_of, inventory
        self._request = ""

    def keyed(self, key: str, content: str) -> "ManyShards":
        one = copy.copy(self)
        one._shards = {shard: control.keyed(key, content) for shard, control in self._shards.items()}
        one._request = f"{key} {content}"
        return one

    def of_shard(self, shard: str) -> Control:
        if shard not in self._shards:
            raise NotFound(f"no shard {shard}; there are {', '.join(self._shards)}")
        return self._shards[shard]

    def _of(self, host: HostName) -> Control:
        shard = self._shard_of(host)
        if shard is None or shard not in self._shards:
            raise NotFound(f"no host {host} in the inventory")
        return self._shards[shard]

    @property
    def _first(self) -> Control:
        """The control of any shard, for what all know alike."""
        return next(iter(self._shards.values()))

    # -- reads --------------------------------------------------------------------------------------------------------

    @property
    def inventory(self) -> Inventory:
        return self._inventory()

    def fleet(self) -> FleetView:
        return merging.fleet_view({shard: control.fleet() for shard, control in self._shards.items()})

    def proxies(self) -> Sequence[ProxyView]:
        return self._first.proxies()

    def controllers(self) -> Sequence[ControllerView]:
        return self._first.controllers()

    async def look_at_controllers(self) -> Sequence[ControllerView]:
        return await self._first.look_at_controllers()

    def hosts(self, *, after: str | None = None, like: HostsLike | None = None) -> Iterator[HostView]:
        parts = [control.hosts(after=after, like=like) for control in self._shards.values()]
        return heapq.merge(*parts, key=lambda view: view.state.name)

    def map(self) -> Iterator[MappedHost]:
        return heapq.merge(*(control.map() for control in self._shards.values()), key=lambda each: each.name)

    def version(self) -> str:
        return " ".join(control.version() for control in self._shards.values())

    def host(self, name: HostName) -> HostView:
        return self._of(name).host(name)

    async def explain(self, name: HostName) -> Explanation:
        return await self._of(name).explain(name)

    async def decisions(self, name: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        return await self._of(name).decisions(name, before=before, limit=limit, after=after)

    async def audit(self, *, limit: int, after: str | None) -> Audit:
        return await auditing.page_of_all(self._shards, limit=limit, after=after)

    async def readiness(self, *, match: str, is_all: bool, limit: int, after: str | None) -> Readiness:
        parts = {
            shard: await control.readiness(match=match, is_all=is_all, limit=limit, after=after)
            for shard, control in self._shards.items()
        }
        return merging.readiness(parts, limit=limit)

    async def saving(self, *, cluster: str | None = None) -> Sequence[ClusterSaving]:
        if cluster is not None:
            return await self._of_cluster(cluster).saving(cluster=cluster)
        parts = [await control.saving() for control in self._shards.values()]
        return [*heapq.merge(*parts, key=lambda each: each.cluster)]

    def saving_totals(self) -> SavingTotals:
        return merging.saving_totals([control.saving_totals() for control in self._shards.values()])

    def _of_cluster(self, cluster: str) -> Control:
        """Return the control of the shard that has the cluster: that of its hosts. Raises NotFound."""
        for control in self._shards.values():
            if any(host.cluster == cluster for host in control.inventory.hosts.values()):
                return control
        raise NotFound(f"no cluster {cluster} in the inventory; `fencectl saving` lists them")

    async def operation(self, operation: OperationId) -> Operation:
        """Each shard reads the same store, but only the host's own has the running operation live."""
        for control in self._shards.values():
            try:
                found = await control.operation(operation)
            except NotFound:
                continue
            return await self._live(found)
        raise NotFound(f"no operation {operation}")

    async def _live(self, given: Operation) -> Operation:
        if given.state is not OperationState.RUNNING:
            return given
        try:
            return await self._of(given.host).operation(given.id)
        except NotFound:
            return given

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        page = await self._first.operations(like, limit=limit, after=after)
        return replace(page, items=tuple([await self._live(one) for one in page.items]))

    async def newest(self) -> Position:
        return await self._begin(Position())

    async def _begin(self, named: Position) -> Position:
        """Return a position in every shard: the named one, or its newest event."""
        begin = Position()
        for shard, control in self._shards.items():
            begin = begin.moved(named.only(shard) or await control.newest())
        return begin

    async def watch(self, *, after: Position | None) -> AsyncGenerator[Happened, None]:
        begin = await self._begin(after or Position())
        sources = {shard: control.watch(after=begin.only(shard)) for shard, control in self._shards.items()}
        stream = merging.events(sources, begin)
        try:
            async for happened in stream:
                yield happened
        finally:
            await stream.aclose()

    # -- requests about one host or shard -----------------------------------------------------------------------------

    async def refuse_at_standby(self, host: HostName | None = None) -> None:
        shard = None if host is None else self._shard_of(host)
        if shard in self._shards:
            await self._shards[shard].refuse_at_standby()
            return
        standbys = await self._standbys(self._shards)
        if len(standbys) == len(self._shards):
            raise _of(standbys.values())

    async def act(self, name: HostName, action: Action, *, by: str, reason: str, is_forced: bool) -> Accepted:
        return await self._of(name).act(name, action, by=by, reason=reason, is_forced=is_forced)

    async def wake(self, cluster: str, hosts: int, *, by: str, reason: str) -> Accepted:
        control = self._of_cluster(cluster)
        await control.refuse_at_standby()
        return await control.wake(cluster, hosts, by=by, reason=reason)

    async def drill(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        return await self._of(name).drill(name, by=by, reason=reason, is_forced=is_forced)

    async def confirm_off(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        return await self._of(name).confirm_off(name, by=by, reason=reason, is_forced=is_forced)

    async def cancel(self, operation: OperationId, *, by: str, reason: str) -> None:
        control = self._of((await self.operation(operation)).host)
        await control.refuse_at_standby()
        await control.cancel(operation, by=by, reason=reason)

    async def set_maintenance(self, name: HostName, *, by: str, reason: str, until: float | None) -> None:
        await self._of(name).set_maintenance(name, by=by, reason=reason, until=until)

    async def end_maintenance(self, name: HostName, *, by: str, reason: str) -> None:
        await self._of(name).end_maintenance(name, by=by, reason=reason)

    async def report_health(self, health: Health) -> None:
        await self._of(health.host).report_health(health)

    async def hand_over(self, *, shard: str, to: str, by: str, reason: str) -> None:
        await self.of_shard(shard).hand_over(shard=shard, to=to, by=by, reason=reason)

    # -- requests to all shards ---------------------------------------------------------------------------------------

    async def disarm(self, *, by: str, reason: str) -> None:
        await self._restrict(lambda control: control.disarm(by=by, reason=reason))

    async def pause(self, *, match: str, by: str, reason: str, until: float | None, pause_id: str = "") -> Pause:
        """Pause in all shards, so that a host that comes into another one later is paused, too."""
        if why := selection.why_none(match, self.inventory.hosts.values()):
            raise Refused("match", why)
        one = pause_id or self._new_pause()
        made = await self._restrict(
            lambda control: control.pause(match=match, by=by, reason=reason, until=until, pause_id=one)
        )
        return made[0]

    def _new_pause(self) -> str:
        """Return the id of a pause: the same one where the same request comes again with its key.

        A key that is used for another request, once the first one is forgotten, must not name the pause of that one.
        """
        digest = hashlib.sha256(self._request.encode()).hexdigest()[:16] if self._request else secrets.token_hex(8)
        return f"p-{digest}"

    async def end_pause(self, pause_id: str, *, by: str) -> None:
        paused = [
            shard
            for shard, control in self._shards.items()
            if any(pause.id == pause_id for pause in control.fleet().pauses)
        ]
        await self._loosen(paused, lambda control: control.end_pause(pause_id, by=by))

    async def arm(self, *, by: str, reason: str) -> None:
        """A shard whose file forbids it is asked first, so that none is armed then."""
        first = sorted(self._shards, key=lambda shard: self._shards[shard].fleet().is_armed_by_file)
        await self._loosen(first, lambda control: control.arm(by=by, reason=reason))

    async def release_store(self, *, by: str, reason: str) -> None:
        doubted = [shard for shard, control in self._shards.items() if control.fleet().store_hold is not None]
        await self._loosen(doubted, lambda control: control.release_store(by=by, reason=reason))

    async def release_storm(self, storm_id: str, *, by: str, reason: str) -> None:
        lasting = [
            shard
            for shard, control in self._shards.items()
            if any(view.storm.id == storm_id and view.storm.end is None for view in control.fleet().storms)
        ]
        await self._loosen(lasting, lambda control: control.release_storm(storm_id, by=by, reason=reason))

    async def _restrict(self, ask: Callable[[Control], Awaitable[T]]) -> list[T]:
        """Ask all shards at once, also if one fails. Raises NotEverywhere, or what all of them raise."""
        answers = await asyncio.gather(*map(ask, self._shards.values()), return_exceptions=True)
        done, failed = {}, {}
        for shard, answer in zip(self._shards, answers, strict=True):
            if isinstance(answer, Failure):
                failed[shard] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                done[shard] = answer
        if failed:
            raise _failure(done, failed)
        return list(done.values())

    async def _loosen(self, shards: Sequence[str], ask: Callable[[Control], Awaitable[None]]) -> None:
        """Ask these shards one after the other until one fails. Raises NotEverywhere, or what all of them raise.

        No shard: what was requested is done already, or there is no such thing. Then any shard may have the answer to a
        request that came before with this key.
        """
        if not shards:
            await self._ask_any(ask)
            return
        failed: dict[str, Failure] = {**await self._standbys(shards)}
        done: list[str] = []
        for shard in shards if not failed else ():
            try:
                await ask(self._shards[shard])
            except (NotFound, Refused, Unavailable) as exc:
                failed[shard] = exc
                break
            done.append(shard)
        if failed:
            others = [shard for shard in shards if shard not in failed and shard not in done]
            raise _failure(done, failed, not_asked=others)

    async def _ask_any(self, ask: Callable[[Control], Awaitable[None]]) -> None:
        failed: dict[str, Failure] = {}
        for shard, control in self._shards.items():
            try:
                await ask(control)
            except (NotFound, Refused, Unavailable) as exc:
                failed[shard] = exc
        if len(failed) == len(self._shards):
            raise next((exc for exc in failed.values() if not isinstance(exc, Unavailable)), _failure((), failed))

    async def _standbys(self, shards: Iterable[str]) -> dict[str, Standby]:
        """Return those of the shards that another controller holds, or none."""
        found = {}
        for shard in shards:
            try:
                await self._shards[shard].refuse_at_standby()
            except Standby as exc:
                found[shard] = exc
        return found


def _failure(done: Iterable[str], failed: Mapping[str, Failure], *, not_asked: Sequence[str] = ()) -> Failure:
    """Return the error of a request that these shards did not obey."""
    obeyed, first = sorted(done), next(iter(failed.values()))
    if not obeyed and all(isinstance(exc, type(first)) for exc in failed.values()):
        if isinstance(first, NotFound | Refused):
            return first
        standbys = [exc for exc in failed.values() if isinstance(exc, Standby)]
        if len(standbys) == len(failed) and not not_asked:
            return _of(standbys)
    missing = [
        NotObeyed(shard=shard, why=str(exc), active=exc.active if isinstance(exc, Standby) else None)
        for shard, exc in failed.items()
    ]
    why = f"not asked, because shard {', '.join(failed)} did not obey"
    missing += [NotObeyed(shard=shard, why=why) for shard in not_asked]
    return NotEverywhere(obeyed, sorted(missing, key=lambda one: one.shard))


def _of(standbys: Iterable[Standby]) -> Standby:
    """Return the answer that names a controller which holds one of the shards, or else the first one."""
    found = list(standbys)
    return next((standby for standby in found if standby.active), found[0])
