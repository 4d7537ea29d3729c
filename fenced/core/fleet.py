"""Everything the core knows: the durable states and what was only heard (sights), with the indexes that keep it fast.

Durable states change through `apply` alone. A sight is what we heard in this life of ours; losing it costs time, not safety.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve, evolve_fleet
from fenced.core.durable.fleet_state import FleetState, Pause
from fenced.core.durable.standing import is_in_hand
from fenced.core.durable.state import HostState
from fenced.core.heard.checks import NOTHING, HostChecks, OffRounds, OffRow
from fenced.core.heard.claims import Claims
from fenced.core.reach.candidates import Paths
from fenced.model.addresses import is_loopback
from fenced.model.inventory import CALLS_MAX, Host, Inventory, Proxy
from fenced.model.names import BootId, ClusterName, DeviceName, HostName, OperationId, ProxyName, Token
from fenced.model.power import Power, State

TROUBLED = frozenset({State.SUSPECT, State.DUMPING, State.FENCING, State.FENCED, State.RESTORING, State.FAILED})
"""States in which a host is looked at without being heard."""

BARRED = {
    State.SUSPECT: "is suspect itself",
    State.DUMPING: "writes a crash dump",
    State.FENCING: "is being fenced",
    State.FENCED: "is fenced",
    State.RESTORING: "is being restored",
    State.FAILED: "could not be fenced and may be dead",
    State.LEFT: "said that it goes down",
    State.MAINTENANCE: "is in maintenance",
}
"""States in which a machine is no proxy, and why (DESIGN section 5)."""

NOT_MONITORED = frozenset({State.UNKNOWN, State.LEFT, State.MAINTENANCE})
"""States that don't count in the share of the cluster (DESIGN section 5)."""


GAPS_MAX = 32
"""Outages and stalls that are remembered; of one `boot_grace` with more of them the first count as listened to."""


@dataclass(slots=True)
class Ear:
    """How long we were able to listen, in seconds. Silence is measured on this clock alone (S11)."""

    total: float = 0.0
    opened_at: float | None = None
    gaps: tuple[tuple[float, float], ...] = ()
    _closed_at: float | None = None

    def now(self, at: float) -> float:
        """Listening time up to `at`."""
        if self.opened_at is None or at <= self.opened_at:
            return self.total
        return self.total + at - self.opened_at

    def open(self, at: float) -> None:
        """Silence counts from `at` on (which may lie ahead)."""
        self.opened_at = at
        if self._closed_at is not None:
            self._remember(self._closed_at, at)
            self._closed_at = None

    def close(self, at: float) -> None:
        """We hear nothing from `at` on."""
        self.total = self.now(at)
        if self.opened_at is not None:
            self._closed_at = at
        self.opened_at = None

    def lose(self, seconds: float, at: float) -> None:
        """The `seconds` before `at` were nobody's silence: we did not run."""
        if self.opened_at is not None:
            self.opened_at += seconds
            self._remember(at - seconds, at)

    def deaf_seconds(self, since: float, at: float) -> float:
        """How much of that time we could not listen; what was before we first could is not counted."""
        open_gap = ((self._closed_at, at),) if self._closed_at is not None else ()
        return sum(max(min(to, at) - max(start, since), 0.0) for start, to in self.gaps + open_gap)

    def _remember(self, start: float, to: float) -> None:
        self.gaps = (*self.gaps, (start, to))[-GAPS_MAX:]


@dataclass(slots=True)
class LifeAnswer:
    """What asking the host itself brought, and when. `was_asked`: silence says nothing where there was nobody to ask."""

    at: float
    answered: str | None
    was_asked: bool = True

    @property
    def words(self) -> str:
        """Who answered, for people."""
        if self.answered is not None:
            return self.answered
        return "nobody answered" if self.was_asked else "nobody was asked: it has no address, or no ports to ask"


@dataclass(slots=True)
class Sight:
    """What was heard of a host since we started. `heard_ear`, `spoke_ear`: on the ear's clock.

    `watch_offs`: by level. `watch_lit`: by device, the paths that read ON in the watch and were not read otherwise since.
    `devices_since`: when a reload gave it other devices than those that were read before.
    `counters`: (reporter, boot, sequence), the newest last. `spoke_at`: when it last said something that is no news of life,
    `speaking_since`: from when on nothing else. `old_run`: the first and the last that was heard of a run long after it was
    proven off.
    """

    heard_at: float | None = None
    heard_ear: float = 0.0
    boot: BootId | None = None
    sequence: int | None = None
    counters: tuple[tuple[str, BootId, int], ...] = ()
    spoke_at: float | None = None
    spoke_ear: float = 0.0
    speaking_since: float | None = None
    old_run: tuple[float, float] = (0.0, 0.0)
    interval_seconds: float | None = None
    workloads: int = 0
    roles: tuple[str, ...] = ()
    wake_at: float | None = None
    life: LifeAnswer | None = None
    life_asked_at: float | None = None
    evidence: dict[str, tuple[str, float]] | None = None
    watch_at: float | None = None
    watch_started: float | None = None
    watch_offs: Mapping[int, OffRounds] = field(default_factory=lambda: NOTHING)
    watch_lit: Mapping[DeviceName, frozenset[ProxyName]] = field(default_factory=lambda: NOTHING)
    devices_since: float = 0.0
    is_stopping: bool = False
    offs: dict[DeviceName, OffRow] | None = None
    operation_ended_at: float = 0.0
    give_backs: int = 0
    give_back_at: float = 0.0


@dataclass(slots=True)
class Memo:
    """Counts over a cluster, made once per batch: a gate of a thousand suspects must not scan the fleet a thousand times."""

    at: float = -1.0
    overdue: dict[ClusterName, tuple[int, int]] = field(default_factory=dict)


class Fleet:
    """The whole of what is known. `now` is always given; nothing here reads a clock."""

    def __init__(self, inventory: Inventory, *, epoch: int, started: float) -> None:
        self.inventory = inventory
        self.epoch = epoch
        self.started = started
        self.quiet_until = started + inventory.daemon.startup_quiet_seconds
        self.ear = Ear()
        self.heard_until = float("inf")
        """Up to when all that came is decided upon; what waits behind that is nobody's silence."""
        self.bus_connected_at: float | None = None
        self.bus_lost_at: float | None = None
        self.released_since: float | None = started
        self.released_from = self.quiet_until
        self.lag_until = 0.0
        self.lag_seconds = 0.0
        self.lease_until = 0.0
        self.is_stopping = False
        self.state = FleetState()
        self.hosts: dict[HostName, HostState] = {}
        self.gone: dict[HostName, HostState] = {}
        """Hosts of the records that the inventory does not name. One that comes back is what its records say (S19)."""
        self.faults: dict[HostName, str] = {}
        """Hosts whose records could not be read or folded, and why; found by the replay, told by the start."""
        self.store_doubt = ""
        self.expected_store = ""
        """Why this store may not be the one that we had, and the id of the one that was expected; "" where it is."""
        self.sights: dict[HostName, Sight] = {}
        self.proxy_faults: dict[ProxyName, str] = {}
        """Proxies that can't be used whatever their machine does, and why. Heard, not journalled: as a sight."""
        self.by_cluster: dict[ClusterName, list[HostName]] = {}
        self.troubled: set[HostName] = set()
        self.memo = Memo()
        self.closed_since: dict[tuple[str, str], float] = {}
        """Since when a gate is closed for all, or for a cluster, by gate and cluster ("": the fleet)."""
        self.gates_looked_at = 0.0
        self.checks: dict[HostName, HostChecks] = {}
        self.claims = Claims()
        self.paths = Paths(inventory=inventory)
        self._sequence = 0
        self._undo: dict[HostName, HostState] | None = None
        self._undo_fleet: FleetState | None = None
        self.take(inventory)

    def take(self, inventory: Inventory) -> None:
        """The inventory from now on. A host that it no longer names is put aside, as a start finds it in the records."""
        self.inventory = inventory
        self.paths = Paths(inventory=inventory)
        self.by_cluster = {}
        for name, host in inventory.hosts.items():
            self.by_cluster.setdefault(host.cluster, []).append(name)
            if name not in self.hosts:
                self._set(self.gone.pop(name, HostState(name=name, since=self.started)))
            if name not in self.sights:
                self.sights[name] = Sight()
        for name in [name for name in self.hosts if name not in inventory.hosts]:
            self.gone[name] = self.hosts.pop(name)
            self.sights.pop(name, None)
            self.checks.pop(name, None)
            self.troubled.discard(name)
        self.claims.follow(inventory)

    def restore(self, hosts: dict[HostName, HostState], fleet: FleetState) -> None:
        """Take over what a snapshot says."""
        self.state = fleet
        for name, state in hosts.items():
            if name in self.inventory.hosts:
                self.put(state)
            else:
                self.gone[name] = state

    def apply(self, entry: r.Entry) -> None:
        """Fold one record."""
        if entry.host is None:
            self.state = evolve_fleet(self.state, entry)
        elif entry.host in self.hosts:
            self.put(evolve(self.hosts[entry.host], entry))
        else:
            before = self.gone.get(entry.host) or HostState(name=entry.host, since=self.started)
            if self._undo is not None:
                self._undo.setdefault(entry.host, before)
            self.gone[entry.host] = evolve(before, entry)

    def begin(self) -> None:
        """From here on remember what each host was before its first change (a batch of decisions)."""
        self._undo, self._undo_fleet = {}, self.state

    def changed(self) -> dict[HostName, HostState]:
        """The hosts that changed since `begin`, as they were then."""
        return self._undo or {}

    @property
    def is_fleet_changed(self) -> bool:
        return self._undo_fleet is not None and self._undo_fleet is not self.state

    def roll_back(self) -> None:
        """Forget what was folded since `begin`: it could not be made durable."""
        for state in self.changed().values():
            if state.name in self.inventory.hosts:
                self._set(state)
            else:
                self.gone[state.name] = state
        if self._undo_fleet is not None:
            self.state = self._undo_fleet
        self._undo = {}

    def settle(self) -> None:
        """What was folded since `begin` is durable."""
        self._undo, self._undo_fleet = {}, self.state

    def known(self, name: HostName) -> HostState:
        """A host of the inventory, or one of the records that it does not name."""
        return self.hosts.get(name) or self.gone[name]

    def durable(self, name: HostName) -> HostState:
        """The host as the journal has it: nobody outside may be told more (S3)."""
        return (self._undo or {}).get(name, self.hosts[name])

    def put(self, state: HostState) -> None:
        """Replace a host's state."""
        if self._undo is not None and state.name in self.hosts:
            self._undo.setdefault(state.name, self.hosts[state.name])
        self._set(state)

    def _set(self, state: HostState) -> None:
        self.hosts[state.name] = state
        if state.state in TROUBLED:
            self.troubled.add(state.name)
        else:
            self.troubled.discard(state.name)

    def next_token(self) -> Token:
        """Rises within our epoch; epochs rise with every start."""
        self._sequence += 1
        return Token(epoch=self.epoch, sequence=self._sequence)

    def next_operation_id(self) -> tuple[OperationId, int]:
        """The id and its number; from the same counter as tokens, so that both rise together."""
        token = self.next_token()
        return OperationId(str(token)), token.sequence

    def host(self, name: HostName) -> Host:
        return self.inventory.hosts[name]

    @property
    def is_armed(self) -> bool:
        """The file says so, and no disarm is newer than the last arm (S19)."""
        return self.inventory.daemon.is_armed_by_file and not self.state.is_disarmed

    def pauses_over(self, now: float) -> list[Pause]:
        """The pauses whose time is over; they are ended by a `Ticked`."""
        return [pause for pause in self.state.pauses if pause.until is not None and now >= pause.until]

    def has_lease(self, now: float) -> bool:
        return now < self.lease_until and not self.is_stopping

    def silence_seconds(self, name: HostName, now: float) -> float:
        """How long we listened without hearing the host, as far as we have taken what came (S11)."""
        return max(self.ear.now(min(now, self.heard_until)) - self.sights[name].heard_ear, 0.0)

    def interval_seconds(self, name: HostName) -> float:
        sight = self.sights[name]
        default = self.host(name).settings.detection.heartbeat_interval_seconds
        if sight.interval_seconds is None:
            return default
        return min(sight.interval_seconds, 4 * default)

    def grace_seconds(self, name: HostName, now: float) -> float:
        """Silence that is tolerated: grace and missed intervals, stretched while we ourselves are unwell."""
        host, sight = self.host(name), self.sights[name]
        detection = host.settings.detection
        roles = set(sight.roles) | set(host.roles)
        grace = detection.grace_seconds + detection.grace_per_workload_seconds * sight.workloads
        grace += sum(seconds for role, seconds in detection.grace_per_role_seconds if role in roles)
        grace = min(grace, max(detection.grace_max_seconds, detection.grace_seconds))
        missed = detection.missed_heartbeats * self.interval_seconds(name)
        stretch = self.lag_seconds if now < self.lag_until else 0.0
        return max(grace, missed) + stretch

    def is_heard(self, name: HostName, now: float) -> bool:
        """Whether the host was heard in this life of ours, within its grace."""
        return self.sights[name].heard_at is not None and self.silence_seconds(name, now) <= self.grace_seconds(
            name, now
        )

    def is_speaking(self, name: HostName, now: float) -> bool:
        """Whether something of the host spoke within its grace, though it was no news of life: it is not silent."""
        sight = self.sights[name]
        is_recent = self.ear.now(now) - sight.spoke_ear <= self.grace_seconds(name, now)
        return sight.spoke_at is not None and is_recent

    def is_overdue(self, name: HostName, now: float) -> bool:
        """Later than one and a half of its intervals."""
        return self.silence_seconds(name, now) > 1.5 * self.interval_seconds(name)

    def overdue(self, cluster: ClusterName, now: float) -> tuple[int, int]:
        """(overdue, monitored) hosts of a cluster."""
        if self.memo.at != now:
            self.memo = Memo(at=now)
        if cluster not in self.memo.overdue:
            monitored = self._monitored(cluster, now)
            late = sum(1 for name in monitored if self.is_overdue(name, now))
            self.memo.overdue[cluster] = (late, len(monitored))
        return self.memo.overdue[cluster]

    def overdue_hosts(self, cluster: ClusterName, now: float) -> tuple[HostName, ...]:
        """Those that are counted by `overdue`."""
        return tuple(name for name in self._monitored(cluster, now) if self.is_overdue(name, now))

    def _monitored(self, cluster: ClusterName, now: float) -> list[HostName]:
        """Whose silence says something: not of those that people switched off or have in hand."""
        states = (self.hosts[name] for name in self.by_cluster.get(cluster, ()))
        return [state.name for state in states if state.state not in NOT_MONITORED and not is_in_hand(state, now)]

    def why_candidate_barred(self, proxy: Proxy) -> str | None:
        """Why a proxy may not serve now: what is wrong with itself or its machine; None where it may.

        A machine that left said that it goes down: a path over it may break between the OFF and its proof.
        """
        if proxy.name in self.proxy_faults:
            return self.proxy_faults[proxy.name]
        for machine in (proxy.machine, *proxy.also_on):
            state = self.hosts.get(machine) if machine is not None else None
            why = None if state is None else BARRED.get(state.state)
            if why is not None:
                return f"runs on {machine}, which {why}"
        return None

    def can_witness(self, name: HostName) -> bool:
        """Whether its beats show that the network is up: not those that reach us or the broker without it."""
        host = self.host(name)
        return not host.is_own_machine and not host.is_beside_broker and not is_loopback(host.address)

    def calls_max(self, name: ProxyName) -> int:
        """How many calls at once a proxy may get from us."""
        proxy = self.inventory.proxies.get(name)
        return proxy.calls if proxy is not None else CALLS_MAX

    def operations_in_flight(self) -> Iterator[HostState]:
        for name in self.troubled:
            if self.hosts[name].operation is not None:
                yield self.hosts[name]

    def power(self, name: HostName) -> dict[str, Power]:
        """Last known power of each device that is still configured."""
        names = {device.name for device in self.host(name).devices}
        return {str(device): power for device, power in self.hosts[name].power if device in names}
