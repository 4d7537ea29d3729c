"""S20 to S22: several controllers on one store. One of them acts at a time, a successor waits for what its predecessor
sent, and a store that lost records makes nobody forget what was known.

Times are the world's. A controller that stood still finishes at its thaw what it had begun before: that is not
promised (docs/safety.md), and not judged here.
"""

import json
from typing import Final

from fenced.core.durable import records as r
from fenced.model.names import HostName, PlugId, ProxyName, Token
from fenced.ports.bus import Message
from tests.world.leasing import Lease
from tests.world.loop import virtual
from tests.world.rules.base import Rule
from tests.world.wires import Sent

MARGIN_SECONDS: Final = 1.0
"""No power command is sent in the last part of a lease (S20)."""
ROUNDING_SECONDS: Final = 0.005
REMEMBERED_SECONDS: Final = 8.0
"""A controller writes new words into its state directory within a third of the lease."""


class OneOwner(Rule):
    """One controller acts at a time: the one that took the lease last, and only for its time."""

    name = "S20"
    outlives_the_store = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._ends: dict[int, float] = {}
        self._holder: dict[int, str] = {}
        self._highest = 0

    def taken(self, before: Lease, row: Lease) -> None:
        disk = self.truth.disk
        if row.epoch <= before.epoch:
            self.found(f"{row.name} takes epoch {row.epoch} after {before.epoch}")
        ends = (
            self._ends.get(before.epoch, float("inf")) - ROUNDING_SECONDS
        )  # in true time: the store's clock may go back
        is_over = disk.now() > before.until or self.truth.now() >= ends
        if before.is_held and before.place != row.place and not is_over:
            self.found(f"{row.name} takes the lease of {before.name} {before.until - disk.now():.1f} s before its end")
        self._highest = max(self._highest, row.epoch)
        self._holder[row.epoch] = row.name
        self.renewed(row)

    def renewed(self, row: Lease) -> None:
        ttl = self.truth.inventory.daemon.lease_ttl_seconds
        self._ends[row.epoch] = self.truth.now() + ttl

    def left(self, daemon: str, token: Token) -> None:
        if virtual().is_just_released(daemon):
            return
        if self._holder.get(token.epoch) != daemon:
            self.found(f"{daemon} sends a command under {token}, an epoch of {self._holder.get(token.epoch)}")
        left = self._ends.get(token.epoch, 0.0) - self.truth.now()
        if left < MARGIN_SECONDS - ROUNDING_SECONDS:
            self.found(f"{daemon} sends a command under {token}, {left:.1f} s before its lease ends")

    def spoke(self, daemon: str, message: Message) -> None:
        if message.topic.endswith(f"/controller/{daemon}") or virtual().is_just_released(daemon):
            return
        row = self.truth.disk.row
        if row.name != daemon:
            self.found(f"{daemon} publishes {message.topic}, and {row.name} took the lease")
        elif self.truth.now() > self._ends.get(row.epoch, 0.0) + ROUNDING_SECONDS:
            late = self.truth.now() - self._ends.get(row.epoch, 0.0)
            self.found(f"{daemon} publishes {message.topic} {late:.1f} s after its lease ended")

    def published(self, message: Message) -> None:
        """What a controller says of itself is true."""
        if "/controller/" not in message.topic or not message.payload:
            return
        told = json.loads(message.payload)
        if told["state"] == "active" and self._holder.get(told["epoch"]) != told["name"]:
            self.found(f"{told['name']} says that it is active under epoch {told['epoch']}")
        if told["state"] == "standby" and told["epoch"] != 0:
            self.found(f"{told['name']} says that it is a standby under epoch {told['epoch']}")


class SuccessorAssumesNothing(Rule):
    """Commands of two epochs never overlap at a plug, and a plug is read before its first command of an epoch."""

    name = "S21"
    outlives_the_store = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._taken_at: dict[int, float] = {}
        self._read_at: dict[PlugId, float] = {}
        self._newest: dict[PlugId, int] = {}
        self._floors: dict[ProxyName, int] = {}

    def floor_raised(self, proxy: ProxyName, epoch: int) -> None:
        self._floors[proxy] = max(self._floors.get(proxy, 0), epoch)

    def taken(self, before: Lease, row: Lease) -> None:
        self._taken_at[row.epoch] = self.truth.now()

    def told(self, plug: PlugId) -> None:
        self._read_at[plug] = self.truth.now()

    def sent(self, sent: Sent) -> None:
        plug, epoch = sent.plug.plug_id, sent.token.epoch
        if epoch < (floor := self._floors.get(sent.proxy, 0)):
            self.found(f"{sent.power.value} for {plug} starts at {sent.proxy} under {sent.token}, below floor {floor}")
        newest = self._newest.get(plug, epoch)
        if epoch < newest and sent.is_honest:
            self.found(f"{sent.power.value} for {plug} is sent under {sent.token}, after one of epoch {newest}")
        for other in self.truth.wires.pending(sent.plug):
            if other.token.epoch < epoch and other.is_honest and sent.is_honest:
                self.found(f"{sent.power.value} for {plug} is sent while {other.token} of an earlier epoch may act")
        taken_at = self._taken_at.get(epoch)
        if newest != epoch or plug not in self._newest:
            read_at = self._read_at.get(plug)
            if taken_at is not None and (read_at is None or read_at < taken_at):
                self.found(f"{sent.power.value} for {plug} is sent under {sent.token}, before the plug was read")
        self._newest[plug] = max(newest, epoch)


class NothingIsLostWithTheStore(Rule):
    """After a store went back: it is noticed, nothing is fenced by itself until a person released it, what restricts
    the daemon stays in force, and epochs go on rising."""

    name = "S22"
    outlives_the_store = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._is_doubted = self._has_gone_back = False
        self._knowing: set[str] = set()
        """Controllers that saw what the store lost."""
        self._disarmed_at: float | None = None
        self._maintained: dict[HostName, float] = {}
        self._pauses: dict[str, float] = {}
        self._before: tuple[bool, set[HostName], set[str]] = (False, set(), set())

    @property
    def _is_owed(self) -> bool:
        """Whether who decides knows that the store went back, and no person released it."""
        return self._has_gone_back and (self._is_doubted or self.truth.disk.row.name in self._knowing)

    def daemon_changed(self) -> None:
        """What only a dead controller's memory held is lost with it."""
        if self._knowing:
            self._knowing &= self._who_knows()

    def _who_knows(self) -> set[str]:
        return {it.owner for it in self.truth.journals() if it.knows_more()}

    def left(self, daemon: str, token: Token) -> None:
        if token.epoch < self._known_epoch(daemon) and not virtual().is_just_released(daemon):
            self.found(f"{daemon} sends a command under {token}, and it knows epoch {self._known_epoch(daemon)}")

    def _known_epoch(self, daemon: str) -> int:
        """Return the highest epoch in the daemon's state directory."""
        return max((it.kept.seen.floor for it in self.truth.journals() if it.owner == daemon), default=0)

    def went_back(self) -> None:
        self._knowing = self._who_knows()
        self._has_gone_back, self._is_doubted = True, False
        old = self.truth.now() - REMEMBERED_SECONDS
        was_disarmed, maintained, pauses = self._before
        self._before = (
            was_disarmed or (self._disarmed_at is not None and self._disarmed_at < old),
            maintained | {host for host, at in self._maintained.items() if at < old},
            pauses | {pause for pause, at in self._pauses.items() if at < old},
        )
        self._disarmed_at, self._maintained, self._pauses = None, {}, {}

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.MaintenanceSet():
                self._maintained[host] = at
            case r.MaintenanceEnded():
                self._maintained.pop(host, None)
                self._before[1].discard(host)
            case r.OperationStarted() if self._is_owed and record.operation.by == "fenced":
                self.found(f"{record.operation.id} of {host} starts by itself, and no person released the store")
            case r.StepStarted() if self._is_owed and record.token is not None and not self._is_doubted:
                self.found(f"a command for {record.plug_id} before the journal says that the store went back")
            case _:
                pass

    def fleet_recorded(self, at: float, record: r.Record) -> None:
        match record:
            case r.Disarmed():
                self._disarmed_at = at
            case r.Armed():
                self._disarmed_at = None
                self._before = (False, *self._before[1:])
            case r.PauseSet():
                self._pauses[record.pause.id] = at
            case r.PauseEnded():
                self._pauses.pop(record.id, None)
                self._before[2].discard(record.id)
            case r.StoreDoubted():
                self._is_doubted = True
            case r.StoreReleased():
                self._released()
            case _:
                pass

    def _released(self) -> None:
        was_disarmed, maintained, pauses = self._before
        if self._is_owed and not self._is_doubted:
            self.found("the store went back, and no record says so")
        state = self.truth.fleet()
        if was_disarmed and not state.is_disarmed:
            self.found("the fleet was disarmed before the store went back, and is armed now")
        if gone := pauses - {pause.id for pause in state.pauses}:
            self.found(f"pauses {', '.join(sorted(gone))} are gone with the store")
        hosts = self.truth.folded()
        kept = {name for name in maintained if name in hosts and hosts[name].maintenance is not None}
        if lost := maintained - kept:
            self.found(f"maintenance of {', '.join(sorted(lost))} is gone with the store")
        self._has_gone_back = self._is_doubted = False
        self._before = (False, set(), set())
