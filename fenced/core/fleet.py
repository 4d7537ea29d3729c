"""Holds everything that the core knows: durable states, what was heard since the start, and the indexes over both.

One batch of decisions is one transaction: `begin`, decide, then `settle`, or `roll_back` when the store rejects it.
Durable states change through `apply` alone.
"""

from collections.abc import Container, Iterator
from typing import Any, NamedTuple, Unpack

from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve
from fenced.core.durable.evolve_fleet import evolve_fleet
from fenced.core.durable.fleet_state import FleetState, Pause
from fenced.core.durable.standing import AWAY, BARRED, TROUBLED, counted_as
from fenced.core.durable.state import HostState
from fenced.core.heard import grace, reporters
from fenced.core.heard.checks import HostChecks
from fenced.core.heard.claims import Claims
from fenced.core.heard.counts import Domain, Memo
from fenced.core.heard.evidence import Sources
from fenced.core.heard.messages import Health
from fenced.core.heard.own import LEASE_MARGIN_SECONDS, Own
from fenced.core.heard.reporters import OVERDUE_INTERVALS, SLOWEST_INTERVALS
from fenced.core.heard.sight import (
    COUNTED,
    SET,
    Counters,
    Seen,
    Sight,
    is_missed,
    keep_beat,
    kept,
    put_back,
    says_the_same,
)
from fenced.core.reach.candidates import Paths
from fenced.core.undo import ABSENT, Undoable
from fenced.model.inventory import Host, Inventory, Proxy
from fenced.model.names import ClusterName, DeviceName, HostName, OperationId, ProxyName, Token
from fenced.model.power import Power


class _Whole(NamedTuple):
    """What a batch replaces as a whole and never changes in place."""

    inventory: Inventory
    paths: Paths
    by_cluster: dict[ClusterName, list[HostName]]
    by_domain: dict[Domain, list[HostName]]
    state: FleetState
    own: Own
    sequence: int


class Fleet:
    """All that the core knows. `now` is always passed in; nothing here reads a clock.

    Between `begin` and `settle` or `roll_back` come any number of decisions, kept or undone together.
    """

    def __init__(self, inventory: Inventory, *, epoch: int, started: float) -> None:
        self.inventory = inventory
        self.epoch = epoch
        self.started = started
        self.quiet_until = started + inventory.daemon.startup_quiet_seconds
        self.own = Own(released_since=started, released_from=self.quiet_until)
        self.heard_until = float("inf")
        """All events up to this time are decided.
        Later time is no silence: beats may wait in the inbox. Set by `begin`."""
        self.is_lease_lost = False
        """Whether the lease is lost but the loss not yet decided. Set by `begin`."""
        self.state = FleetState()
        self.hosts: Undoable[HostName, HostState] = Undoable()
        self.gone: Undoable[HostName, HostState] = Undoable()
        """Hosts in the records but not in the inventory. One that comes back has the state of its records (S19)."""
        self.faults: dict[HostName, str] = {}
        """Hosts with records that can't be decoded or folded, and why; found by the replay, reported by the start."""
        self.expected_store = ""
        """The id of the expected store if this is another one, else "". Found by the replay."""
        self.is_store_new = False
        """Whether nothing was ever recorded in this store. Set by the takeover."""
        self.sights: Undoable[HostName, Sight] = Undoable()
        self.checks: Undoable[HostName, HostChecks] = Undoable()
        self.claims = Claims()
        self.sources = Sources()
        self.by_cluster: dict[ClusterName, list[HostName]] = {}
        self.by_domain: dict[Domain, list[HostName]] = {}
        self.troubled: set[HostName] = set()
        self.maintained: set[HostName] = set()
        self.away: set[HostName] = set()
        self.operating: set[HostName] = set()
        self.gates_at = float("-inf")
        """When the gates of a suspect were last evaluated."""
        self.memo: Memo | None = None
        self.paths = Paths(inventory=inventory)
        self._sequence = 0
        self._seen: dict[HostName, tuple[Sight, tuple[Any, ...]]] = {}
        self._before: _Whole | None = None
        self.take(inventory)

    def take(self, inventory: Inventory) -> None:
        """Replace the inventory. Removed hosts move to `gone`, as after a restart."""
        self.inventory, self.memo = inventory, None
        self.witnesses = frozenset(name for name, host in inventory.hosts.items() if host.can_witness)
        self.paths = Paths(inventory=inventory)
        self.by_cluster, self.by_domain = {}, {}
        for name, host in inventory.hosts.items():
            self.by_cluster.setdefault(host.cluster, []).append(name)
            for key in inventory.daemon.gates.storm_domains:
                if value := host.value_of(key):
                    self.by_domain.setdefault((key, value), []).append(name)
            if name not in self.hosts:
                self.put(self.gone.drop(name) or HostState(name=name, since=self.started))
            if name not in self.sights:
                self.sights.put(name, Sight())
        for name in [name for name in self.hosts if name not in inventory.hosts]:
            self.gone.put(name, self.hosts[name])
            for table in (self.hosts, self.sights, self.checks):
                table.drop(name)
            self._index(name)
        self.claims.follow(inventory)

    def restore(self, hosts: dict[HostName, HostState], fleet: FleetState) -> None:
        """Load the states of a snapshot."""
        self.state = fleet
        for name, state in hosts.items():
            if name in self.inventory.hosts:
                self.put(state)
            else:
                self.gone.put(name, state)

    # -- changes ------------------------------------------------------------------------------------------------------

    def apply(self, entry: r.Entry) -> None:
        """Fold one record."""
        if entry.host is None:
            self.state = evolve_fleet(self.state, entry)
        elif entry.host in self.hosts:
            self.put(evolve(self.hosts[entry.host], entry))
        else:
            before = self.gone.get(entry.host) or HostState(name=entry.host, since=self.started)
            self.gone.put(entry.host, evolve(before, entry))

    def put(self, state: HostState) -> None:
        """Replace the state of a host of the inventory."""
        if self.memo is not None:
            is_heard = self.sights[state.name].heard_at is not None
            before, after = (counted_as(it, self.memo.at, is_heard=is_heard) for it in (self.hosts[state.name], state))
            self.memo = self.memo if before == after and self.hosts[state.name].state is state.state else None
        self.hosts.put(state.name, state)
        self._index(state.name)

    def see(self, name: HostName, **changes: Unpack[Seen]) -> None:
        """Change what is known of a host's heartbeats and checks."""
        sight = self._sight_to_change(name)
        if self.memo is not None and not COUNTED.isdisjoint(changes):
            self.memo = None
        for field_name, value in changes.items():
            SET[field_name](sight, value)

    def keep_beat(self, health: Health, counters: Counters, *, is_stopping: bool) -> None:
        """Keep what a heartbeat changes of its host's `Sight`."""
        ear = self.own.ear.now(health.received)
        sight = self._sight_to_change(health.host)
        if ear - sight.heard_ear > sight.longest_silence and is_missed(sight, health):
            self.see(health.host, longest_silence=ear - sight.heard_ear, longest_silence_at=health.received)
        if sight.reporter == health.reporter and not sight.reporters:
            if self.memo is not None:
                self._note_beat(self.memo, sight, health, is_stopping=is_stopping)
            keep_beat(sight, health, ear=ear, counters=counters, is_stopping=is_stopping)
            return
        self.memo = None
        default = self.host(health.host).settings.detection.heartbeat_interval_seconds
        reporters.keep_beat(sight, health, ear=ear, counters=counters, is_stopping=is_stopping, default=default)

    def _note_beat(self, memo: Memo, sight: Sight, health: Health, *, is_stopping: bool) -> None:
        """Keep the counts of this moment exact. Most beats are of hosts that count as heard already."""
        is_same = is_stopping or says_the_same(sight, health)
        is_newer = sight.heard_at is not None and sight.heard_at <= health.received
        if not is_same or not is_newer or self.is_overdue(health.host, memo.at):
            self.memo = None
        elif health.host in self.witnesses:
            memo.hear(health.host, health.received)

    def _sight_to_change(self, name: HostName) -> Sight:
        sight = self.sights[name]
        if self._before is not None and name not in self._seen:
            self._seen[name] = sight, kept(sight)
        return sight

    def forget_checks(self, known: Container[tuple[HostName, DeviceName, ProxyName]]) -> None:
        """Drop the results of all paths but these."""
        for name, checks in list(self.checks.items()):
            gone = {path for path in checks.paths if (name, *path) not in known}
            if len(gone) == len(checks.paths):
                self.checks.drop(name)
            elif gone:
                self.checks.put(name, checks.without(gone))
        self.claims.keep_only(known)

    # -- all or nothing -----------------------------------------------------------------------------------------------

    def begin(self, *, heard_until: float = float("inf"), is_lease_lost: bool = False) -> None:
        """Begin a batch: from now on remember each value before its first change."""
        self.heard_until, self.is_lease_lost = heard_until, is_lease_lost
        for table in self._tables:
            table.begin()
        self._seen, self.memo = {}, None
        self._before = self._whole

    def roll_back(self) -> None:
        """Undo what was decided since `begin`: the store rejected it. The moments of beats and evidence stay, and what
        `Own.undone` keeps."""
        if self._before is None:
            return
        for sight, values in self._seen.values():
            put_back(sight, values)
        own = self.own
        self._whole = self._before
        self.own = own.undone(self.own)
        changed = self.hosts.roll_back()
        for table in self._tables:
            table.roll_back()
        for name in changed:
            self._index(name)
        self._seen, self._before, self.is_lease_lost, self.memo = {}, None, False, None

    def settle(self) -> None:
        """Keep what was decided since `begin`: it is durable."""
        for table in self._tables:
            table.settle()
        self._seen, self._before, self.is_lease_lost = {}, None, False

    @property
    def _tables(self) -> "tuple[Undoable[Any, Any] | Claims, ...]":
        return (self.hosts, self.gone, self.sights, self.checks, self.claims)

    @property
    def _whole(self) -> "_Whole":
        return _Whole(
            self.inventory, self.paths, self.by_cluster, self.by_domain, self.state, self.own, self._sequence
        )  # fmt: skip

    @_whole.setter
    def _whole(self, whole: "_Whole") -> None:
        self.inventory, self.paths, self.by_cluster, self.by_domain, self.state, self.own, self._sequence = whole

    def changed(self) -> dict[HostName, HostState]:
        """Return the hosts that changed since `begin`, in the state of that time."""
        before = {**(self.gone.before or {}), **(self.hosts.before or {})}
        for name, state in before.items():
            if state is ABSENT:  # new, or moved from one table to the other
                moved = self.gone if name in self.hosts else self.hosts
                before[name] = (moved.before or {}).get(name, HostState(name=name, since=self.started))
        return {name: state for name, state in before.items() if state != self.known(name)}

    @property
    def is_fleet_changed(self) -> bool:
        return self._before is not None and self._before.state is not self.state

    @property
    def durable_inventory(self) -> Inventory:
        """Return the inventory before this batch: a new one may still be rejected."""
        return self.inventory if self._before is None else self._before.inventory

    @property
    def durable_state(self) -> FleetState:
        """Return the fleet's state as the journal has it."""
        return self.state if self._before is None else self._before.state

    def states(self) -> tuple[HostState, ...]:
        """Return the states of the hosts of the inventory and of `gone`."""
        return (*self.hosts.values(), *self.gone.values())

    def known(self, name: HostName) -> HostState:
        """Return the state of a host of the inventory or of `gone`."""
        return self.hosts.get(name) or self.gone[name]

    def durable(self, name: HostName) -> HostState:
        """Return the host's state as the journal has it: nothing newer may be published (S3)."""
        before = (self.hosts.before or {}).get(name, ABSENT)
        return self.hosts[name] if before is ABSENT else before

    def is_durable(self, name: HostName) -> bool:
        """Return whether the inventory had the host before this batch."""
        before = self.hosts.before or {}
        return before[name] is not ABSENT if name in before else name in self.hosts

    def durable_names(self) -> list[HostName]:
        """Return the hosts of the inventory before this batch: a new inventory may still be rejected."""
        return [name for name in {**self.hosts, **(self.hosts.before or {})} if self.is_durable(name)]

    def _index(self, name: HostName) -> None:
        state = self.hosts.get(name)
        for index, is_in in (
            (self.troubled, state is not None and state.state in TROUBLED),
            (self.away, state is not None and state.state in AWAY),
            (self.operating, state is not None and state.operation is not None),
            (self.maintained, state is not None and state.maintenance is not None),
        ):
            (index.add if is_in else index.discard)(name)

    @property
    def is_standby(self) -> bool:
        return self.epoch == 0  # it took no lease, so another controller decides, and this one listens and follows

    def next_token(self) -> Token:
        """Return a token above all earlier ones: the sequence rises within an epoch, the epoch with every start."""
        self._sequence += 1
        return Token(epoch=self.epoch, sequence=self._sequence)

    def token_of_durable(self) -> Token:
        """Return the last token that is durable: nothing that the journal has carries a higher one of this epoch."""
        return Token(epoch=self.epoch, sequence=self._sequence if self._before is None else self._before.sequence)

    def next_operation_id(self) -> tuple[OperationId, int]:
        """Return the id and its number, from the same counter as tokens, so that both rise together."""
        token = self.next_token()
        return OperationId(str(token)), token.sequence

    def host(self, name: HostName) -> Host:
        return self.inventory.hosts[name]

    @property
    def is_armed_durably(self) -> bool:
        """Whether the file arms the daemon and no later disarm is in force (S19), as the journal has it (S3)."""
        return self.durable_inventory.daemon.is_armed_by_file and not self.durable_state.is_disarmed

    def pauses_over(self, now: float) -> list[Pause]:
        """Return the expired pauses; a `PausesDue` ends them."""
        return [pause for pause in self.state.pauses if pause.until is not None and now >= pause.until]

    def holds_lease(self, now: float) -> bool:
        """Return whether this daemon owns the store; it still does while it stops."""
        return now < self.own.lease_until and not self.is_lease_lost

    def has_lease(self, now: float) -> bool:
        return self.holds_lease(now + LEASE_MARGIN_SECONDS) and not self.own.is_stopping

    def silence_seconds(self, name: HostName, now: float) -> float:
        """Return the listening time since the host was last heard, not beyond `heard_until` (S11)."""
        return max(self.own.ear.now(min(now, self.heard_until)) - self.sights[name].heard_ear, 0.0)

    def interval_seconds(self, name: HostName) -> float:
        named = self.sights[name].interval_seconds
        default = self.host(name).settings.detection.heartbeat_interval_seconds
        return default if named is None else min(named, SLOWEST_INTERVALS * default)

    def grace_seconds(self, name: HostName, now: float) -> float:
        """Return the tolerated silence: grace and missed intervals, stretched while the daemon itself is unwell."""
        plain = grace.plain_seconds(self.host(name), self.sights[name], interval=self.interval_seconds(name))
        return plain + grace.stretched_by(self.host(name), plain, self.own.stretch_seconds(now))

    def stretched_seconds(self, name: HostName, now: float) -> float:
        """Return how much of the host's grace is the daemon's own illness."""
        plain = grace.plain_seconds(self.host(name), self.sights[name], interval=self.interval_seconds(name))
        return grace.stretched_by(self.host(name), plain, self.own.stretch_seconds(now))

    def is_heard(self, name: HostName, now: float) -> bool:
        """Return whether the host was heard since the start, and its silence is within its grace."""
        is_known = self.sights[name].heard_at is not None
        return is_known and self.silence_seconds(name, now) <= self.grace_seconds(name, now)

    def is_speaking(self, name: HostName, now: float) -> bool:
        """Return whether a stale message came within the host's grace: no proof of life, but no silence either."""
        sight = self.sights[name]
        if sight.spoke_at is None:
            return False
        return self.own.ear.now(now) - sight.spoke_ear <= self.grace_seconds(name, now)

    def is_overdue(self, name: HostName, now: float) -> bool:
        """Return whether the last beat is older than one and a half intervals."""
        return self.silence_seconds(name, now) > OVERDUE_INTERVALS * self.interval_seconds(name)

    def memo_at(self, now: float) -> Memo:
        """Return the counts made at this time from what is known now. A change of it that they depend on drops them."""
        memo, key = self.memo, (now, self.heard_until)
        if memo is None or memo.key != key or memo.own is not self.own:
            memo = self.memo = Memo(key=key, own=self.own)
        return memo

    def why_candidate_barred(self, proxy: Proxy) -> str | None:
        """Return why a proxy can't be used now, because of itself or of its machine, or None."""
        if proxy.name in self.own.proxy_faults:
            return self.own.proxy_faults[proxy.name]
        for machine in (proxy.machine, *proxy.also_on):
            state = self.hosts.get(machine) if machine is not None else None
            why = None if state is None else BARRED.get(state.state)  # in `left` its path may break before the proof
            if why is not None:
                return f"runs on {machine}, which {why}"
        return None

    def operations_in_flight(self) -> Iterator[HostState]:
        for name in self.operating & self.troubled:
            yield self.hosts[name]

    def power(self, name: HostName) -> dict[str, Power]:
        """Return the last known power of each device that is still configured."""
        names = {device.name for device in self.host(name).devices}
        return {str(device): power for device, power in self.hosts[name].power if device in names}
