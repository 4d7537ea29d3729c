"""S14, S15: operations end in time, and one with healthy devices and paths is quick, whatever fails beside it.

The same holds for announcements: a topic that the broker rejects delays only the messages for it.
"""

from dataclasses import dataclass

from fenced.core.durable import records as r
from fenced.core.durable.state import Operation, Slot
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action
from fenced.ports.bus import Message
from tests.world.rules.base import Rule, is_plug_good

END_BOUND_SECONDS = 60.0
"""After its deadline an operation waits only for what it sent (attempt, queue, settle)."""
FENCE_BOUND_SECONDS = 10.0
"""On top of a fence on its own: the races of a few dead proxies, and devices that share a unit."""

ANNOUNCE_BOUND_SECONDS = 3.0
"""From the record to the broker: a read of the store, and whatever else is sent at that moment."""
BACK_OFF_SECONDS = 20.0
"""How long the daemon may wait before it tries again, after the broker accepted nothing at all or nothing of the
host: a message on its way times out after ten seconds, and the pause after many failures is as long."""


class DeadlinesHold(Rule):
    """Every operation ends by its deadline, or soon after the start of a daemon that resumes it too late."""

    name = "S14"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._told: set[OperationId] = set()

    def stepped(self) -> None:
        up_since = self.truth.up_since
        if up_since is None:
            return
        for op in self.truth.running.values():
            deadline = max(op.restore_deadline or op.deadline, up_since, self.truth.troubled_at)
            if self.truth.now() > deadline + END_BOUND_SECONDS and op.id not in self._told:
                self._told.add(op.id)
                self.found(f"{op.id} of {op.host} runs {self.truth.now() - deadline:.0f} s past its deadline")


@dataclass(slots=True)
class _Fence:
    """An operation with healthy devices and paths so far."""

    host: HostName
    started: float


class NobodyIsDelayed(Rule):
    """An OFF at a host with healthy devices and paths, by one daemon, is announced as fast as one on its own.

    A drill also waits until its host is silent.
    """

    name = "S15"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._well: dict[OperationId, _Fence] = {}

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.OperationStarted() if record.slot is Slot.RUNNING and _is_fence(record.operation):
                self._well[record.operation.id] = _Fence(host, at)
            case r.RaceEnded() | r.StepEnded() if record.settling_until > 0.0 or _is_bad(record):
                self._well.pop(record.operation, None)
            case (
                r.OperationEnded() | r.EndingDecided() | r.OperationResumed() | r.WrongMachineFound() | r.Contradicted()
            ):
                self._well.pop(record.operation or OperationId(""), None)
            case r.HostFenced() if record.operation is not None and record.operation in self._well:
                fence = self._well.pop(record.operation)
                self._fenced(fence, at - fence.started)
            case _:
                pass

    def stepped(self) -> None:
        truth = self.truth
        if not self._well:
            return
        is_calm = truth.are_paths_good() and truth.broker.is_up and truth.up_since is not None
        is_calm = is_calm and truth.troubled_at < truth.now()
        for operation, fence in list(self._well.items()):
            plugs = truth.machines[fence.host].plugs.values()
            if not is_calm or not all(is_plug_good(plug) for plug in plugs):
                del self._well[operation]

    def daemon_changed(self) -> None:
        self._well.clear()

    def _fenced(self, fence: _Fence, seconds: float) -> None:
        powers = [device.power for device in self.truth.inventory.hosts[fence.host].devices]
        settles = [device.settle_seconds for device in self.truth.inventory.hosts[fence.host].devices]
        alone = max(
            2.0 + power.already_off_hold_seconds + (1 + power.stable_reads) * power.verify_interval_seconds
            for power in powers
        ) + max(settles)
        if seconds > alone + FENCE_BOUND_SECONDS:
            self.found(f"{fence.host}, well all the time, is fenced after {seconds:.1f} s (alone: {alone:.1f})")


class NobodyIsKeptFromBeingHeard(Rule):
    """An announcement about a host reaches a willing broker at once, whatever the broker rejects for other hosts.

    Judged by the store's clock: a daemon whose lease ran out says nothing until it has the lease again, even
    if the store is well by then.
    """

    name = "S15"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._waits: dict[HostName, float] = {}
        self._refused_at: dict[HostName, float] = {}
        self._calm_since = self.truth.now()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if isinstance(record, r.HostFenced):
            self._waits[host] = at

    def published(self, message: Message) -> None:
        if "/event/" in message.topic and b'"io.fenced.host.fenced"' in message.payload:
            self._waits.pop(HostName(message.topic.rpartition("/")[2]), None)

    def daemon_changed(self) -> None:
        self._calm_since = self.truth.now()

    def stepped(self) -> None:
        truth, now = self.truth, self.truth.now()
        is_led = truth.up_since is not None and truth.disk.lease_ends > now
        if not truth.broker.is_willing or not is_led or truth.troubled_at >= now:
            self._calm_since = now
        self._calm_since = max(self._calm_since, truth.troubled_at)  # no step may have been seen during that trouble
        self._refused_at |= {HostName(host): now for host in truth.broker.refused}
        for host, at in list(self._waits.items()):
            since = max(self._calm_since, self._refused_at.get(host, 0.0))
            if now > max(at, since + BACK_OFF_SECONDS) + ANNOUNCE_BOUND_SECONDS:
                self.found(f"{host} has been fenced for {now - at:.1f} s, and a willing broker has no announcement")
                del self._waits[host]


def _is_fence(operation: Operation) -> bool:
    return operation.action in {Action.OFF, Action.RESTART} and not operation.is_drill


def _is_bad(record: r.RaceEnded | r.StepEnded) -> bool:
    """Something on the way to the device failed, for example a proxy without its disk."""
    if isinstance(record, r.RaceEnded):
        return record.winner is None
    return record.error is not None
