"""Compare what one simulated host did with the model: the model must allow each record and each command at that moment.

Knows records and actions; of time only whether `announce_wait` is over. Readings are offered to the model and not
required: the program may read more often than the model needs, but never announce with less.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.state import Phase as ProgramPhase
from fenced.core.durable.state import Slot
from fenced.model.names import DeviceName, OperationId, ProxyName, Token
from fenced.model.power import Action as Asked
from fenced.model.power import Outcome, Power, Proof, State, What
from tests.formal.model import Action, Claim, Does, Kind, Phase, World
from tests.formal.model import Power as Truth
from tests.formal.properties import broken
from tests.formal.rules import after, refusals

KINDS: Final = {Asked.OFF: Kind.OFF, Asked.RESTART: Kind.RESTART, Asked.ON: Kind.ON}
TOKENS_PER_EPOCH: Final = 10**9


@dataclass(slots=True)
class Monitor:
    """One host. `findings`: what the model forbids, in order; `taken`: how many actions it followed.

    `clock_behind`: how far the clock of the daemon that wrote the newest record is behind the world's, in seconds.
    `is_over`: something outside the model happened (a person's statement), so it stops watching.
    """

    host: str
    devices: tuple[DeviceName, ...]
    announce_wait_seconds: float
    world: World = field(default_factory=World)
    findings: list[str] = field(default_factory=list)
    taken: int = 0
    is_over: bool = False
    clock_behind: float = 0.0
    _kinds: dict[OperationId, Kind] = field(default_factory=dict)
    _running: OperationId | None = None
    _fenced_at: float = 0.0
    _steps: dict[tuple[DeviceName, int], int] = field(default_factory=dict)
    _not_after: dict[int, float] = field(default_factory=dict)
    _paths: list[ProxyName] = field(default_factory=list)
    _is_stopped: bool = False

    def take(self, action: Action) -> None:
        """Apply an action that happened; the model must allow it."""
        if self.is_over:
            return
        forbidden = tuple(refusals(self.world, action))
        following = after(self.world, action) if "never" not in forbidden else self.world
        promise = None if forbidden else broken(self.world, action, following)
        if forbidden or promise:
            why = promise or f"forbidden by {', '.join(forbidden)}"
            self.findings.append(f"{self.host}: {action.does.name} of device {action.device}: {why}; {self.world}")
            self.is_over = True
            return
        self.world, self.taken = following, self.taken + 1

    def _offer(self, action: Action) -> None:
        if not any(refusals(self.world, action)):
            self.take(action)

    # -- the network and the devices ----------------------------------------------------------------------------------

    def sent(self, device: DeviceName, token: Token) -> None:
        """A command left. It must have been recorded; the path compares its token at once."""
        self.take(Action(Does.ARRIVE, self._device(device), number_of(token)))

    def acted(self, device: DeviceName, token: Token) -> None:
        self.take(Action(Does.ACT, self._device(device), number_of(token)))

    def gone(self, device: DeviceName, token: int) -> None:
        """A command can't act any more: killed, refused, or past its `not_after`."""
        self._offer(Action(Does.LOSE, self._device(device), token))

    def switched(self, device: DeviceName, *, is_on: bool) -> None:
        """Something other than the daemon switched it."""
        self.take(Action(Does.HAND, self._device(device), is_yes=is_on))

    def heard_on_bus(self, *, is_fenced: bool) -> None:
        """The bus now says that the host is fenced, or that it is not."""
        self.take(Action(Does.ANNOUNCE, is_yes=is_fenced))

    def pending(self) -> Iterable[tuple[DeviceName, int, bool, float]]:
        """Yield the commands that may act according to the model: device, token, whether they left, `not_after`."""
        for name, device in zip(self.devices, self.world.devices, strict=True):
            for command in device.commands:
                yield name, command.token, command.is_taken, self._not_after[command.token]

    def _device(self, name: DeviceName) -> int:
        return self.devices.index(name)

    # -- the journal --------------------------------------------------------------------------------------------------

    def record(self, at: float, record: r.Record) -> None:
        """One record became durable."""
        match record:
            case r.OperationStarted() if record.operation.action in KINDS and record.slot is not Slot.READING:
                self._kinds[record.operation.id] = KINDS[record.operation.action]
                if record.slot is Slot.RUNNING:
                    self._begin(record.operation.id)
            case r.WaitingOperationStarted():
                self._begin(record.operation)
            case r.OperationJoined() if record.action in KINDS:
                self._join(record)
            case r.HostFenced():
                self._fenced(at, record)
            case r.HostRevoked() | r.MaintenanceEnded():
                self._offer(Action(Does.REVOKE))
            case (
                r.OperationResumed()
                | r.RaceEnded()
                | r.StepStarted()
                | r.StepEnded()
                | r.AnnouncementAcknowledged()
                | r.PhaseEntered()
                | r.EndingDecided()
                | r.OperationEnded()
            ) if record.operation == self._running:
                self._of_operation(at, record)
            case _:
                pass

    def _of_operation(self, at: float, record: r.Record) -> None:
        match record:
            case r.OperationResumed():
                self.take(Action(Does.TAKEOVER))
            case r.RaceEnded() if record.power is Power.OFF and not record.settling_until:
                self._read_off(record.device)
            case r.StepEnded() if (record.device, record.number) in self._steps:
                self._command_ended(record, self._steps[record.device, record.number])
            case r.StepEnded() if record.outcome is Outcome.OFF and not record.settling_until:
                self._read_off(record.device)
            case r.StepStarted() if record.token is not None:
                self._command(record, record.token)
            case r.AnnouncementAcknowledged():
                self._offer(Action(Does.WAIT))
            case r.EndingDecided():
                self._is_stopped = True
            case r.PhaseEntered():
                self._phase(at, record.phase)
            case r.OperationEnded():
                self.take(Action(Does.END, is_yes=record.after is State.FENCED))
                self._running = None
            case _:
                pass

    def _command_ended(self, record: r.StepEnded, token: int) -> None:
        """The call ended; its device may still act for a `settle`."""
        if record.is_end_known and record.settled_at is None:
            self.gone(record.device, token)
        elif record.is_end_known and record.settled_at is not None:
            self._not_after[token] = record.settled_at + self.clock_behind

    def _begin(self, operation: OperationId) -> None:
        self._running, self._is_stopped = operation, False
        self.take(Action(Does.BEGIN, kind=self._kinds[operation]))

    def _join(self, record: r.OperationJoined) -> None:
        kind = KINDS[record.action]
        if record.operation == self._running and kind is not self.world.kind and self.world.phase is not Phase.CLOSING:
            self.take(Action(Does.JOIN, kind=kind))
        elif record.operation != self._running:
            self._kinds[record.operation] = kind

    def _read_off(self, device: DeviceName) -> None:
        """Apply a reading of OFF. One from just before the device was switched on counts as made before that."""
        number = self._device(device)
        was = self.world
        if was.devices[number].power is Truth.BY_HAND:
            self.take(Action(Does.HAND, number, is_yes=False))
        self._offer(Action(Does.READ, number))
        if was.devices[number].power is Truth.BY_HAND:
            self.take(Action(Does.HAND, number, is_yes=True))

    def _command(self, record: r.StepStarted, token: Token) -> None:
        if record.proxy not in self._paths:
            self._paths.append(record.proxy)
        number = self._steps[record.device, record.number] = number_of(token)
        self._not_after[number] = (record.not_after or 0.0) + self.clock_behind
        does = Does.ON if record.what is What.ON else Does.OFF
        self.take(Action(does, self._device(record.device), number, self._paths.index(record.proxy)))

    def _fenced(self, at: float, record: r.HostFenced) -> None:
        if record.proof is Proof.HUMAN:
            self.is_over = True
            return
        if self.world.phase is Phase.IDLE:  # the journal does not record each reading of the watch
            for device in self.devices:
                self._read_off(device)
        self._fenced_at = at
        self.take(Action(Does.FENCE))

    def _phase(self, at: float, phase: ProgramPhase) -> None:
        match phase:
            case ProgramPhase.CLOSING | ProgramPhase.READ_AND_END:
                self.take(Action(Does.STOP))
            case ProgramPhase.RESTORING if self.world.phase is Phase.PROVING and self._is_stopped:
                self.take(Action(Does.GIVE_BACK))
            case ProgramPhase.RESTORING if self.world.phase is not Phase.RESTORING:
                if self.world.claim is Claim.FENCED and at >= self._fenced_at + self.announce_wait_seconds - 1e-6:
                    self._offer(Action(Does.WAIT))
                self.take(Action(Does.RESTORE))
            case _:
                pass


def number_of(token: Token) -> int:
    return token.epoch * TOKENS_PER_EPOCH + token.sequence
