"""S10 and the first half of S19: no automatic OFF begins while a gate is really closed, and none for a healthy host."""

from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Pause, Storm
from fenced.core.events import Evidence, Health
from fenced.core.heard.evidence import SHUTTING_DOWN
from fenced.core.heard.reporters import SLOWEST_INTERVALS
from fenced.model.names import BootId, HostName
from fenced.model.power import What
from tests.world.machines import Machine
from tests.world.rules.base import Op, Rule

IN_INBOX_SECONDS = 0.1
"""A heartbeat that arrives when the OFF is decided may still be in the inbox."""
NEXT_INTERVALS = 1.4
"""For nearly one and a half of its intervals a reporter is not late."""
STORED_SECONDS = 5.0
"""How old a decision may be that a slow store has just written."""


class AutomaticOff(Rule):
    """The first OFF of an operation. A person's request passes all gates except `armed`."""

    name = "S10"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._is_disarmed = False
        self._pauses: dict[str, Pause] = {}
        self._maintained: set[HostName] = set()
        self._given_back: dict[HostName, float] = {}
        """When its last maintenance ended."""
        self._known: set[HostName] = set()
        self._attempts: dict[HostName, list[float]] = {}
        self._begun: list[float] = []
        self._storms: dict[str, Storm] = {}
        self._spent: set[HostName] = set()
        """Hosts of storms that a person released, or that reached their longest time."""
        self._evidence: dict[tuple[HostName, str, str], tuple[float, float]] = {}
        """When it was said, and until when it holds; by host, source and kind."""
        self._reports: dict[tuple[HostName, str], tuple[float, float]] = {}
        """When each reporter of a host was last heard, and the interval that it named."""
        self._left: set[HostName] = set()
        """Hosts that said that they go down, and were not heard since."""
        self._touched: set[HostName] = set()
        """Hosts that people ever asked to switch."""

    def reported(self, event: Health) -> None:
        if event.interval_seconds is not None:
            self._reports[event.host, event.reporter] = (self.truth.now(), event.interval_seconds)

    def vouched(self, event: Evidence) -> None:
        if event.is_retained:
            return
        key = (event.host, event.source, event.evidence_kind)
        self._evidence.pop(key, None)
        if event.is_alive and self.truth.is_taken_in:
            now = self.truth.now()
            self._evidence[key] = (now, now + event.ttl_seconds)

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        self._known.add(machine.name)

    def fleet_recorded(self, at: float, record: r.Record) -> None:
        match record:
            case r.Disarmed():
                self._is_disarmed = True
            case r.Armed():
                self._is_disarmed = False
            case r.StormBegan():
                self._storms[record.storm.id] = record.storm
            case r.StormEnded():
                del self._storms[record.id]
                if record.end.why != "over":
                    self._spent |= set(record.end.hosts)
            case r.PauseSet():
                self._pauses[record.pause.id] = record.pause
            case r.PauseEnded():
                self._pauses.pop(record.id, None)
            case _:
                pass

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.HostLeft():
                self._left.add(host)
            case r.HostHeard():
                self._left.discard(host)
            case r.MaintenanceSet():
                self._maintained.add(host)
            case r.MaintenanceEnded():
                self._maintained.discard(host)
                self._given_back[host] = at
            case r.StepStarted() if record.token is not None and record.what is What.OFF:
                op = self.truth.operations[record.operation]
                if not op.has_sent_off:
                    self._first_off(host, at, op)
            case _:
                pass

    def _first_off(self, host: HostName, at: float, op: Op) -> None:
        what = f"{op.id} sends its first OFF to {host}"
        if self._is_disarmed or not self.truth.inventory.daemon.is_armed_by_file:
            self.found(f"{what}, disarmed")
        if not op.is_automatic:
            self._touched.add(host)
            return
        for why in self._closed(host, at):
            self.found(f"{what}, {why}")
        gates = self.truth.inventory.daemon.gates
        attempts = self._attempts.setdefault(host, [])
        recent = [one for one in attempts if one > at - gates.attempts_per_seconds]
        if len(recent) >= gates.attempts_count:
            self.found(f"{what}, the attempt after {len(recent)}")
        attempts.append(at)
        self._budget(what, op)

    def _closed(self, host: HostName, at: float) -> list[str]:
        truth, configured = self.truth, self.truth.inventory.hosts[host]
        matching = [pause for pause in self._pauses.values() if pause.match in {"*", f"host={host}"}]
        quiet = truth.inventory.daemon.startup_quiet_seconds
        is_quiet = truth.up_since is None or at < truth.up_since + quiet - 0.001
        closed = (
            ("in maintenance", host in self._maintained),
            ("paused", bool(matching)),
            ("protected", configured.is_protected or not configured.settings.automatic),
            ("never heard", host not in self._known),
            ("in the quiet time after a start", is_quiet),
            ("without the bus", not truth.broker.is_up and not self._is_stored_late(at)),
            ("which is heard and reported nothing", self._is_alive(host, at)),
            ("while nobody else was heard over the network since", self._is_alone(host, at)),
            ("while one of its reporters is not late yet", self._is_awaited(host, at)),
            ("while evidence holds it", self._is_said_to_live(host, at)),
            ("in a storm", self._is_in_storm(host)),
            ("as the first of a storm", self._is_first_of_storm(host, at)),
        )
        return [why for why, is_closed in closed if is_closed]

    def _is_awaited(self, host: HostName, at: float) -> bool:
        """Return whether a reporter's next beat was not due yet, by a daemon that lives since its last one.

        Nobody waits longer for it than it alone would make its host suspect.
        """
        since, detection = self.truth.up_since, self.truth.inventory.hosts[host].settings.detection
        if since is None or self._is_stored_late(at):
            return False
        heard = [said for (name, _), said in self._reports.items() if name == host and said[0] > since]
        longest = SLOWEST_INTERVALS * detection.heartbeat_interval_seconds
        return len(heard) > 1 and any(
            at < when + min(NEXT_INTERVALS * it, max(detection.grace_seconds, 2.9 * min(it, longest)))
            for when, it in heard
        )

    def _is_said_to_live(self, host: HostName, at: float) -> bool:
        """Return whether evidence of a kind that counts was heard by the daemon that lives, and holds.

        A shutdown is left out: what is said of it may have ended earlier than its time.
        """
        kinds, since = self.truth.inventory.daemon.gates.live_evidence, self.truth.up_since
        if since is None or self._is_stored_late(at):
            return False
        return any(
            name == host and kind in kinds and kind != SHUTTING_DOWN
            and since + IN_INBOX_SECONDS < said < at - IN_INBOX_SECONDS and at < until - IN_INBOX_SECONDS
            for (name, _, kind), (said, until) in self._evidence.items()
        )  # fmt: skip

    def _is_in_storm(self, host: HostName) -> bool:
        """Return whether a storm that nobody ended holds a domain of the host."""
        configured = self.truth.inventory.hosts[host]
        return any(configured.value_of(storm.domain) == storm.value for storm in self._storms.values())

    def _is_first_of_storm(self, host: HostName, at: float) -> bool:
        """Return whether enough others of a domain fell silent with it, which nobody took out of the count."""
        gates, hosts = self.truth.inventory.daemon.gates, self.truth.inventory.hosts
        if self._is_stored_late(at):
            return False
        for key in gates.storm_domains:
            value = hosts[host].value_of(key)
            near = [name for name, it in hosts.items() if value and it.value_of(key) == value]
            silent = [name for name in near if self._fell_silent_with(name, at)]
            if host in silent and len(silent) >= gates.storm_hosts and not self._spent & {*silent}:
                return True
        return False

    def _fell_silent_with(self, name: HostName, at: float) -> bool:
        """Return whether it is surely counted: heard within `per`, overdue by far, and in nobody's hands."""
        gates, detection = self.truth.inventory.daemon.gates, self.truth.inventory.hosts[name].settings.detection
        never = (float("-inf"), None)
        since = max(self.truth.heard.get(name, never)[0], self.truth.broker.reached.get(name, never)[0])
        if since < self._given_back.get(name, since):
            return False  # a person took it out of the count, and it was not heard since
        named = (said for (host, _), (_, said) in self._reports.items() if host == name)
        slowest = min(
            max(named, default=0.0), SLOWEST_INTERVALS * detection.heartbeat_interval_seconds
        )  # may be the measure
        is_late = since < at - 2.5 * max(slowest, detection.heartbeat_interval_seconds)
        return (
            is_late
            and at - since < gates.storm_per_seconds
            and name not in self._touched | self._maintained | self._left
        )

    def is_vouched_for(self, host: HostName) -> bool:
        """Return whether evidence of a kind that counts may hold the host, or held it a moment ago."""
        kinds, now = self.truth.inventory.daemon.gates.live_evidence, self.truth.now()
        return any(
            name == host and kind in kinds and now < until + STORED_SECONDS
            for (name, _, kind), (_, until) in self._evidence.items()
        )

    def attempts(self, host: HostName, *, since: float) -> int:
        """Return how many automatic operations of a host sent an OFF after that moment."""
        return sum(1 for at in self._attempts.get(host, ()) if at > since)

    def _is_alive(self, host: HostName, at: float) -> bool:
        """Return whether it was heard in its grace and reported no failure; a last will is no report.

        S11 checks silence.
        """
        detection = self.truth.inventory.hosts[host].settings.detection
        if detection.on_report == "fence" and host in self.truth.reported:
            return False
        heard_at, _ = self.truth.heard.get(host, (-detection.grace_seconds, None))
        if self.truth.machines[host].is_beating:
            heard_at = max(heard_at, self.truth.spoke.get(host, heard_at))
        is_news = IN_INBOX_SECONDS < at - heard_at < detection.grace_seconds - IN_INBOX_SECONDS
        return is_news and not self._is_stored_late(at)

    def _is_alone(self, host: HostName, at: float) -> bool:
        """Return whether since its last heartbeat only the daemon's machine was heard,
        which needs no network for that.
        """
        hosts, reached = self.truth.inventory.hosts, self.truth.broker.reached
        others = [it for name, it in hosts.items() if name != host and not it.is_own_machine]
        since, _ = self.truth.heard.get(host, (0.0, None))
        is_wanted = self.truth.inventory.daemon.gates.witness_hosts > 0
        is_witnessed = any(reached.get(it.name, (0.0, None))[0] > since for it in others)
        return is_wanted and not is_witnessed and not self._is_stored_late(at)

    def _is_stored_late(self, at: float) -> bool:
        """Return whether it may have been decided long before it was durable."""
        return at < self.truth.troubled_at + STORED_SECONDS

    def _budget(self, what: str, op: Op) -> None:
        """Check the budget: it is drawn as the operation begins; an operation without an OFF need not draw."""
        gates = self.truth.inventory.daemon.gates
        size = len(self.truth.inventory.hosts)
        most = min(max(gates.budget_hosts, int(gates.budget_percent * size / 100)), gates.budget_at_most)
        recent = [one for one in self._begun if op.decided - gates.budget_per_seconds < one <= op.decided]
        if len(recent) >= most:
            self.found(f"{what}, the fence after {len(recent)} of a budget of {most}")
        self._begun.append(op.decided)
