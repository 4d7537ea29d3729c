"""S17: a fenced host that has power again or is heard is revoked within one round of the watch."""

from fenced.core.durable import records as r
from fenced.core.durable.state import Phase, Slot
from fenced.model.names import BootId, HostName
from fenced.model.power import Proof, State
from tests.world.machines import Machine
from tests.world.rules.base import STORED_SECONDS, Rule, is_plug_good

BOUND_SECONDS = 30.0
"""For races, reads and the journal, after the round has begun."""
SPEAKS_SECONDS = 1.0
LIVES_INTERVALS = 4.0
"""An old run that beats for so long is more than a late message; fenced/core/suspected/freshness.py needs less."""


class FencedIsWatched(Rule):
    """Counts only time in which the daemon runs, the paths work and the host's devices tell the truth."""

    name = "S17"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._lit_since: dict[HostName, float] = {}
        self._spoke_at: dict[HostName, float] = {}
        self._old_since: dict[HostName, float] = {}
        self._fenced: set[HostName] = set()
        self._is_said: dict[HostName, bool] = {}
        self._proof: dict[HostName, tuple[float, BootId | None]] = {}

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.HostFenced():
                self._proof[host] = (at, record.boot)
                self._is_said[host] = record.proof is Proof.HUMAN
                self._count(host, True)
            case r.HostRevoked() | r.HostHeard() | r.MaintenanceEnded() | r.WaitingOperationStarted():
                self._count(host, False)
            case r.OperationStarted() if record.slot is Slot.RUNNING:
                self._count(host, False)
            case r.PhaseEntered() if record.phase is Phase.RESTORING:
                self._count(host, False)
            case r.OperationEnded():
                self._count(host, record.after is State.FENCED)
            case _:
                pass

    def _count(self, host: HostName, is_fenced: bool) -> None:
        """Record that the journal counts the host as fenced or not."""
        if is_fenced:
            self._fenced.add(host)
            return
        self._fenced.discard(host)
        self._lit_since.pop(host, None)
        self._spoke_at.pop(host, None)
        self._old_since.pop(host, None)

    def daemon_changed(self) -> None:
        self._lit_since.clear()
        self._spoke_at.clear()
        self._old_since.clear()

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        """A heartbeat of another run than the one that was proven off, or of the same run, again and again,
        long after.
        """
        host = machine.name
        if host not in self._fenced or boot != machine.boot:
            return
        proven_at, of_boot = self._proof[host]
        now, late = self.truth.now(), self.truth.inventory.hosts[host].settings.detection.late_message_seconds
        if boot != of_boot:
            self._spoke_at.setdefault(host, now)
        elif now > proven_at + late:
            since = self._old_since.setdefault(host, now)
            if now >= since + LIVES_INTERVALS * machine.interval:
                self._spoke_at.setdefault(host, now)

    def stepped(self) -> None:
        now = self.truth.now()
        for host, machine in self.truth.machines.items():
            if host not in self._fenced:
                continue
            self._look_lit(host, machine, now)
            if host in self._spoke_at and now > self._spoke_at[host] + SPEAKS_SECONDS:
                self.found(f"{host} speaks and is still announced as fenced")
                del self._spoke_at[host]

    def _look_lit(self, host: HostName, machine: Machine, now: float) -> None:
        is_watchable = (
            self.truth.up_since is not None
            and self.truth.are_paths_good()
            and self.truth.troubled_at < now
            and all(is_plug_good(plug) for plug in machine.plugs.values())
            and not machine.is_split
            and host not in self.truth.running
            and not self._is_said[host]
        )
        if not machine.is_powered or not is_watchable:
            self._lit_since.pop(host, None)
            return
        since = self._lit_since.setdefault(host, now)
        interval = self.truth.inventory.hosts[host].settings.detection.watch_interval_seconds
        if now > since + interval + BOUND_SECONDS:
            self.found(f"{host} has had power for {now - since:.0f} s and is still announced as fenced")
            self._lit_since[host] = now + 1e9  # report it once


class HonestStayTrusted(Rule):
    """A truthful device is distrusted only if a sign of life of that run reached the daemon too late after the proof.

    How long a message then waited in the daemon does not count, and how long it waited elsewhere can't be known.
    """

    name = "S17"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._proof: dict[HostName, tuple[float, BootId | None]] = {}

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.HostFenced():
                self._proof[host] = (at, record.boot)
            case r.HostRevoked() if record.distrusted:
                self._look(host, record)
            case _:
                pass

    def _look(self, host: HostName, record: r.HostRevoked) -> None:
        machine = self.truth.machines[host]
        proven_at, boot = self._proof.get(host, (0.0, None))
        reached_at, of_boot = self.truth.broker.reached.get(host, (0.0, None))
        late = self.truth.inventory.hosts[host].settings.detection.late_message_seconds
        is_late = of_boot == boot and reached_at > proven_at + late - STORED_SECONDS
        if self.truth.is_answerable(machine) and not is_late:
            self.found(f"{', '.join(record.distrusted)} of {host} told the truth and {host} was silent: distrusted")
