"""What the gates count once a moment equals, after every change, what a pass over all hosts finds (`slow`).

Many changes come at one moment, as in a batch: what was counted before them must not be used after them.
"""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from fenced.core import events as e
from fenced.core.allowed import counting, limits, of_many, storm
from fenced.core.decide import decide
from fenced.core.durable.fleet_state import Storm, StormEnd
from fenced.core.durable.replacing import replace
from fenced.core.durable.standing import is_in_hand, is_monitored
from fenced.core.durable.state import HostState, Maintenance
from fenced.core.fleet import Fleet
from fenced.model.names import HostName
from fenced.model.power import State
from tests.core.desk import Desk
from tests.properties.profiles import histories
from tests.world.rack import Rack

HOSTS: Final = tuple(f"node-{number}" for number in range(1, 7))
RACK: Final = Rack(
    hosts=HOSTS,
    racks={name: f"r{number // 3}" for number, name in enumerate(HOSTS)},
    places={"node-6": "c2/dc1"},
    settings={"gates.storm_domains": ("rack", "cluster"), "gates.witness_hosts": 2, "gates.storm_per_seconds": 10.0},
)
LATER: Final = st.sampled_from((0.0, 0.0, 0.0, 0.5, 3.0, 8.0, 40.0))
Change = tuple[str, str, float]
CHANGES: Final = st.tuples(
    st.sampled_from(("beat", "beat", "slow beat", "stopping", "state", "person", "maintenance", "stall", "bus", "storm",
                     "rolled back")),
    st.sampled_from(HOSTS),
    LATER,
)  # fmt: skip


class Slow:
    """The same as the gates count, in the plainest way, from what the fleet knows now."""

    def __init__(self, fleet: Fleet, now: float) -> None:
        self.fleet, self.now = fleet, now

    def overdue(self, cluster: str) -> tuple[int, int]:
        names = [it.name for it in self._of(cluster) if is_monitored(it, self.now)]
        return sum(self.fleet.is_overdue(name, self.now) for name in names), len(names)

    def is_all_overdue(self, suspect: HostName) -> bool:
        if not self.fleet.is_overdue(suspect, self.now):
            return False
        others = [
            it.name for it in self._of(self.fleet.host(suspect).cluster)
            if it.name != suspect and self.fleet.host(it.name).can_witness and not is_in_hand(it, self.now)
            and it.state in {State.HEALTHY, State.SUSPECT, State.FENCING}
        ]  # fmt: skip
        return bool(others) and all(self.fleet.is_overdue(name, self.now) for name in others)

    def witnesses(self, suspect: HostName) -> int:
        fleet, sight = self.fleet, self.fleet.sights[suspect]
        proof = fleet.hosts[suspect].proof
        last = sight.heard_at if sight.heard_at is not None else fleet.started
        after = max(last, proof.at if proof is not None else 0.0) + fleet.interval_seconds(suspect)
        heard = [
            name for name, it in fleet.sights.items()
            if name != suspect and it.heard_at is not None and it.heard_at > after
            and fleet.host(name).can_witness and not fleet.is_overdue(name, self.now)
        ]  # fmt: skip
        return min(len(heard), fleet.inventory.daemon.gates.witness_hosts)

    def away(self) -> frozenset[HostName]:
        states = {State.FENCING, State.FENCED, State.RESTORING, State.FAILED}
        hosts = self.fleet.hosts.values()
        return frozenset(it.name for it in hosts if it.state in states and not is_in_hand(it, self.now))

    def _of(self, cluster: str) -> list[HostState]:
        return [it for it in self.fleet.hosts.values() if self.fleet.host(it.name).cluster == cluster]


class Desks(Desk):
    """A desk at which states are set as records would set them, and batches are refused."""

    def change(self, what: str, name: HostName, number: int) -> None:
        fleet, state = self.fleet, self.fleet.hosts[name]
        match what:
            case "beat":
                self.beat(name)
            case "slow beat":
                self.beat(name, interval=20.0)
            case "stopping":
                self.beat(name, status=e.HealthStatus.STOPPING)
            case "state":
                chosen = tuple(State)[number % len(State)]
                fleet.put(replace(state, state=chosen, suspected_at=self.now, last_heard=self.now - number))
            case "person":
                fleet.put(replace(state, is_off_by_person=not state.is_off_by_person, in_hand_from=self.now - 1.0))
            case "maintenance":
                kept = Maintenance(by="a person", reason="told", since=self.now)
                fleet.put(replace(state, maintenance=None if state.maintenance else kept))
            case "stall":
                decide(fleet, e.Stalled(seconds=2.0, at=self.now), self.now)
            case "bus":
                decide(fleet, e.BusDisconnected(at=self.now, why="told"), self.now)
                decide(fleet, e.BusConnected(at=self.now), self.now)
            case "storm":
                self._storm(name)
            case _:
                fleet.begin()
                fleet.put(replace(state, state=State.FENCED))
                compare(fleet, self.now)
                fleet.roll_back()

    def _storm(self, name: HostName) -> None:
        """Begin a storm of the host, or end the one that lasts."""
        storms = self.fleet.state.storms
        if lasting := self.fleet.state.lasting_storms:
            end = StormEnd(at=self.now, why="released", by="a person", reason="told", hosts=lasting[0].hosts,
                           cooldown_until=self.now)  # fmt: skip
            storms = tuple(replace(it, end=end) if it is lasting[0] else it for it in storms)
        else:
            new = Storm(id=f"s-{len(storms)}", domain="cluster", value="c1", since=self.now, hosts=(name,), common=())
            storms = (*storms, new)
        self.fleet.state = replace(self.fleet.state, storms=storms)


def compare(fleet: Fleet, now: float) -> None:
    """Compare each count with the slow form; those of storms with a count that remembers nothing."""
    slow = Slow(fleet, now)
    for name, host in fleet.inventory.hosts.items():
        assert counting.of_cluster(fleet, host.cluster, now)[:2] == slow.overdue(host.cluster), name
        assert of_many.is_all_overdue(fleet, name, now) is slow.is_all_overdue(name), name
        assert of_many.witnesses_of(fleet, name, now) == slow.witnesses(name), name
    assert frozenset(limits.unrecovered(fleet, now)) == slow.away()
    assert limits.away(fleet, now, HostName("node-1")) == len(slow.away() - {"node-1"})
    counted = {domain: storm.tally(fleet, domain, now) for domain in fleet.by_domain}
    memo, fleet.memo = fleet.memo, None
    assert counted == {domain: storm.tally(fleet, domain, now) for domain in fleet.by_domain}
    fleet.memo = memo


@histories(150, 1)
@given(changes=st.lists(CHANGES, max_size=30), is_heard=st.booleans())
def test_counts_of_a_moment_are_exact_after_every_change(changes: list[Change], is_heard: bool) -> None:
    desk = Desks(RACK)
    if not is_heard:  # as after a start
        desk.fleet.see(HostName("node-2"), heard_at=None)
    compare(desk.fleet, desk.now)
    for number, (what, name, later) in enumerate(changes):
        desk.now += later
        desk.change(what, HostName(name), number)
        compare(desk.fleet, desk.now)
