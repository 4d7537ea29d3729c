"""What a standby hears, and what a takeover does before any host is recovered (S21, S22)."""

from dataclasses import replace

from fenced.core import events as e
from fenced.core import following, taking
from fenced.core.decide import decide
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Listening, Pause, Words
from fenced.core.durable.state import IssuedCommand
from fenced.core.fleet import Fleet
from fenced.core.listening import observed_seconds
from fenced.model.names import ENGINE, BootId, DeviceName, HostName, PlugId, Token
from fenced.model.power import State, What
from tests.world.rack import Rack, inventory

NOW = 5000.0
NODE, OTHER = HostName("node-1"), HostName("node-2")
PAUSE = Pause(id="p-1", match="*", by="a person", reason="work on the switch", since=NOW - 10.0)


def standby() -> Fleet:
    fleet = Fleet(inventory(Rack()), epoch=0, started=NOW - 600.0)
    following.hear(fleet, e.BusConnected(at=NOW - 600.0), NOW - 600.0)
    return fleet


def beat(sequence: int, *, at: float = NOW, boot: str = "b-1", status: e.HealthStatus = e.HealthStatus.OK) -> e.Health:
    return e.Health(
        host=NODE, received=at, is_retained=False, boot=BootId(boot), sequence=sequence, status=status,
        interval_seconds=5.0,
    )  # fmt: skip


def begun(fleet: Fleet, started: e.Started) -> list[r.Record]:
    """Let it take the lease, and return the records."""
    fleet.epoch = 7
    fleet.begin()
    return [entry.record for entry in decide(fleet, started, NOW).entries]


def test_a_beat_changes_what_was_heard_and_nothing_durable() -> None:
    fleet = standby()
    before = fleet.hosts[NODE]
    assert following.hear(fleet, beat(1), NOW)
    assert fleet.sights[NODE].heard_at == NOW and fleet.hosts[NODE] is before
    assert fleet.silence_seconds(NODE, NOW + 3.0) == 3.0


def test_stale_and_retained_beats_are_no_life_at_a_standby() -> None:
    fleet = standby()
    following.hear(fleet, beat(9, at=NOW - 50.0), NOW)
    following.hear(fleet, beat(8), NOW)
    assert fleet.sights[NODE].heard_at == NOW - 50.0 and fleet.sights[NODE].spoke_at == NOW


def test_requests_and_timers_are_not_for_a_standby() -> None:
    fleet = standby()
    assert not following.hear(fleet, e.TimerFired(host=NODE), NOW)
    assert not following.hear(fleet, e.ArmAsked(is_on=False, by="a person", reason="none"), NOW)
    assert not fleet.state.is_disarmed


def test_a_new_inventory_at_a_standby_gives_new_hosts_a_quiet_time() -> None:
    fleet = standby()
    more = inventory(Rack(hosts=("node-1", "node-2", "node-3", "node-4", "node-5")))
    assert following.hear(fleet, e.InventoryRead(inventory=more), NOW)
    assert fleet.silence_seconds(HostName("node-5"), NOW + 30.0) == 0.0


def test_commands_of_another_controller_act_for_their_whole_time() -> None:
    fleet = standby()
    token = Token(epoch=3, sequence=4)
    command = IssuedCommand(
        device=DeviceName("pdu-a"), plug_id=PlugId("p"), what=What.OFF, proxy=ENGINE, token=token, not_after=NOW - 1.0
    )
    fleet.hosts.put(NODE, replace(fleet.hosts[NODE], commands=(command,)))
    records = begun(fleet, e.Started(before="fenced-b", outlast={NODE: ((token, NOW + 40.0),)}))
    assert r.ControlTaken(controller="fenced-a", before="fenced-b", epoch=7) in records
    assert [it.not_after for it in fleet.hosts[NODE].unsettled(NOW)] == [NOW + 40.0]


def test_what_operators_said_is_set_again_once() -> None:
    fleet = standby()
    words = Words(is_disarmed=True, pauses=(PAUSE,), maintenance=((OTHER, "a person", "a new fan", None),))
    begun(fleet, e.Started(words=words))
    assert fleet.state.is_disarmed and fleet.state.pauses == (PAUSE,)
    assert fleet.hosts[OTHER].state is State.MAINTENANCE
    fleet.settle()
    said = taking.words_of(fleet)
    assert (said.is_disarmed, said.pauses) == (words.is_disarmed, words.pauses)
    fleet.begin()
    assert decide(fleet, e.Started(words=words), NOW).entries == ()


def test_what_operators_said_is_what_the_journal_has_of_it() -> None:
    fleet = standby()
    begun(fleet, e.Started(words=Words(maintenance=((OTHER, "a person", "a new fan", None),))))
    assert taking.words_of(fleet).maintenance == (), "the batch is not durable yet"
    fleet.settle()
    said = taking.words_of(fleet).maintenance
    assert [name for name, *_ in said] == [OTHER]
    fleet.begin()
    decide(fleet, e.MaintenanceAsked(host=OTHER, is_on=False, by="a person", reason="done"), NOW)
    assert fleet.hosts[OTHER].maintenance is None
    assert taking.words_of(fleet).maintenance == said
    fleet.roll_back()
    assert taking.words_of(fleet).maintenance == said


def test_words_whose_time_is_over_stay_unsaid() -> None:
    fleet = standby()
    over = Words(
        pauses=(Pause(id="p-2", match="*", by="a", reason="b", since=1.0, until=NOW - 1.0),),
        maintenance=((OTHER, "a person", "a new fan", NOW - 1.0), (HostName("gone"), "a person", "gone", None)),
    )
    begun(fleet, e.Started(words=over))
    assert fleet.state.pauses == () and fleet.hosts[OTHER].maintenance is None


def test_the_bus_is_recorded_as_the_successor_found_it() -> None:
    fleet = standby()
    fleet.apply(r.Entry(at=NOW - 5.0, host=None, record=r.BusLost(why="the other one lost it")))
    assert r.BusBack() in begun(fleet, e.Started())
    away = standby()
    following.hear(away, e.BusDisconnected(at=NOW - 5.0, why="cut"), NOW)
    assert any(isinstance(record, r.BusLost) for record in begun(away, e.Started()))


def test_listening_at_the_same_time_counts_once() -> None:
    fleet = standby()
    entry = r.Entry(at=NOW, host=None, record=r.Listened(listening=Listening(since=NOW - 500.0, seconds=500.0)))
    fleet.apply(entry)
    following.folded(fleet, entry, NOW)
    assert observed_seconds(fleet, NOW) == 500.0
