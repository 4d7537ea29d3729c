"""Decision records: one for each change of outcome or of the closed gates of a host, with all that was known then."""

from collections.abc import Iterator

import pytest

from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.allowed.catalogue import GATES
from fenced.core.allowed.verdict import margin_of
from fenced.core.decided.inputs import confirm_of
from fenced.core.decided.lines import lines
from fenced.core.durable import records as r
from fenced.core.durable.decision import Confirmation, Fact, Ruling
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Look, Observer, Saw
from fenced.core.work import Work
from fenced.model.names import HostName, ProxyName
from fenced.model.power import Action
from tests.core.desk import NODE, ZERO, Desk
from tests.house.tree import ROOT
from tests.world.rack import Rack

LONG = 60.0


def decided(desk: Desk, name: HostName = NODE) -> list[r.Decided]:
    return [it.record for it in desk.entries if it.host == name and isinstance(it.record, r.Decided)]


def outcomes(desk: Desk, name: HostName = NODE) -> list[str]:
    return [it.outcome.value for it in decided(desk, name)]


def facts(record: r.Decided) -> dict[str, Fact]:
    return {it.what: it for it in record.inputs}


def silenced(desk: Desk, name: HostName = NODE, seconds: float = LONG) -> Desk:
    desk.go(seconds, silent=[name])
    return desk


def paused() -> Desk:
    desk = Desk()
    desk.do(e.PauseAsked(match=f"host={NODE}", by="p", reason="switch work", until=None))
    return silenced(desk)


def before(desk: Desk, kind: type) -> Iterator[bool]:
    """Yield for each record of the host of this kind whether a decision of the same moment stands before it."""
    mine = [it for it in desk.entries if it.host == NODE]
    for place, entry in enumerate(mine):
        if isinstance(entry.record, kind):
            yield any(isinstance(it.record, r.Decided) and it.at == entry.at for it in mine[:place])


def test_a_fence_is_decided_before_its_operation_starts_with_every_gate_open() -> None:
    desk = silenced(Desk())
    (record,) = decided(desk)
    assert record.outcome is Ruling.FENCE
    assert record.shut == ()
    assert {it.gate for it in record.opened} == {
        it.gate for it in gates.all_gates(desk.fleet, NODE, desk.now)
    }  # each has its verdict
    assert [*before(desk, r.OperationStarted)] == [True]
    operation = desk.state().operation
    assert operation is not None
    assert record.operation == operation.id


def test_it_says_what_was_known_from_whom_and_how_old() -> None:
    (record,) = decided(silenced(Desk()))
    known = facts(record)
    assert known["last heartbeat"].value.startswith("boot b1, sequence ")
    assert known["last heartbeat"].source == "its reporter"
    assert 20.0 < (known["last heartbeat"].age or 0.0) < 40.0
    assert known["silence"].value.endswith("a heartbeat every 5 s")
    assert known["grace"].value == "20.0 s"
    assert known["suspected"].source == "silence"
    assert (known["suspected"].age or 0.0) >= 5.0
    assert known["bus"].value == "connected"
    assert known["cluster"].value == "1 of 4 hosts overdue"


def test_the_grace_says_what_made_it() -> None:
    desk = Desk(Rack(settings={"detection.grace_per_workload_seconds": 1.0, "detection.grace_max_seconds": 60.0}))
    desk.beat(workloads=7, roles=("db",))
    desk.go(20.0, silent=[NODE])
    desk.do(e.Stalled(seconds=3.0, at=desk.now))
    desk.go(40.0, silent=[NODE])
    made_by = "7 workloads, roles db, stretched because the daemon stood still for 3 s"
    assert facts(decided(desk)[0])["grace"].value == f"30.0 s ({made_by})"


def test_the_plan_has_levels_devices_and_ordered_candidates() -> None:
    (record,) = decided(silenced(Desk()))
    assert record.plan is not None
    assert record.plan.action is Action.RESTART
    assert [(it.name, it.level, it.through) for it in record.plan.devices] == [
        ("pdu-a", 1, ("engine",)),
        ("pdu-b", 1, ("engine",)),
    ]


def test_a_hold_names_what_is_closed_and_what_opens_it_and_only_once() -> None:
    desk = paused()
    desk.go(LONG, silent=[NODE])
    (record,) = decided(desk)
    assert record.outcome is Ruling.HOLD
    assert [(it.gate, it.why, it.opens_when) for it in record.shut] == [
        ("paused", "paused by p: switch work", GATES["paused"].opens_when)
    ]
    assert [*before(desk, r.HostHeld)] == [True]


def test_each_change_of_the_closed_gates_is_one_record() -> None:
    desk = paused()
    desk.do(e.ArmAsked(is_on=False, by="p", reason="r"))
    desk.go(10.0, silent=[NODE])
    assert [{it.gate for it in record.shut} for record in decided(desk)] == [{"paused"}, {"armed", "paused"}]
    assert outcomes(desk) == ["hold", "hold"]


def test_what_only_armed_holds_would_be_fenced() -> None:
    desk = Desk()
    desk.do(e.ArmAsked(is_on=False, by="p", reason="r"))
    silenced(desk)
    assert outcomes(desk) == ["would_fence"]
    assert decided(desk)[0].plan is not None
    desk.do(e.ArmAsked(is_on=True, by="p", reason="r"))
    desk.go(10.0, silent=[NODE])
    assert outcomes(desk) == ["would_fence", "fence"]


def test_a_host_that_is_heard_again_recovers() -> None:
    desk = paused()
    desk.go(10.0)
    assert outcomes(desk) == ["hold", "recover"]
    known = facts(decided(desk)[-1])
    assert known["sign of life"].value == "a heartbeat of boot b1"
    assert known["held by"].value == "paused"
    assert decided(desk)[-1].plan is None


def test_a_healthy_host_has_no_decision_however_its_gates_are() -> None:
    desk = Desk()
    desk.do(e.ArmAsked(is_on=False, by="p", reason="r"))
    desk.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    desk.go(300.0)
    assert decided(desk) == []


def test_a_suspect_that_says_that_it_stops_recovers() -> None:
    desk = paused()
    desk.beat(status=e.HealthStatus.STOPPING)
    assert outcomes(desk) == ["hold", "recover"]


def test_maintenance_of_a_suspect_is_a_hold_by_maintenance() -> None:
    desk = paused()
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="ann", reason="disks"))
    last = decided(desk)[-1]
    assert last.outcome is Ruling.HOLD
    assert [(it.gate, it.why) for it in last.shut] == [("maintenance", "in maintenance by ann: disks")]


def test_maintenance_of_a_healthy_host_is_no_decision() -> None:
    desk = Desk()
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="ann", reason="disks"))
    assert decided(desk) == []


def test_a_refused_request_says_who_asked_and_which_rule() -> None:
    desk = Desk()
    desk.do(e.ActionAsked(host=NODE, action=Action.OFF, by="ann", reason="test"))
    (record,) = decided(desk)
    assert record.outcome is Ruling.REFUSE
    assert facts(record)["request"] == Fact(what="request", value="off: test", source="ann")
    assert facts(record)["rule"].value.startswith("alive: ")
    assert (record.shut, record.plan) == ((), None)


@pytest.mark.parametrize(
    "asked",
    [
        e.ActionAsked(host=NODE, action=Action.OFF, by="ann", reason=""),
        e.ConfirmOffAsked(host=NODE, by="ann", reason="", is_forced=False, read=None),
        e.DrillAsked(host=NODE, by="ann", reason="", is_forced=False),
    ],
    ids=["off", "confirm_off", "drill"],
)
def test_a_gate_that_refuses_a_request_is_among_its_gates(asked: e.Event) -> None:
    desk = Desk()
    desk.do(e.ArmAsked(is_on=False, by="p", reason="r"))
    desk.do(asked)
    assert outcomes(desk) == ["refuse"]
    if not isinstance(asked, e.DrillAsked):
        assert [it.gate for it in decided(desk)[0].shut] == ["armed"]


def test_observers_are_told_with_what_they_saw() -> None:
    desk = Desk()
    look = Look(
        observer=Observer(name=ProxyName("px1"), domain="rack-2"), network="storage", target="10.1.0.2",
        saw=Saw.SILENT, at=desk.now, control="10.1.0.3", milliseconds=4.5,
    )  # fmt: skip
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=(look,)))
    assert confirm_of(Work(desk.fleet, desk.now).on(NODE)) == (
        Confirmation(
            observer="px1", domain="rack-2", network="storage", target="10.1.0.2", answer="silent", control=True,
            milliseconds=4.5,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answered", "was_asked", "answer"), [("port 22", True, "alive"), (None, True, "silent"), (None, False, "unknown")]
)
def test_without_other_observers_the_daemon_is_one(answered: str | None, was_asked: bool, answer: str) -> None:
    desk = Desk()
    desk.do(e.LifeAsked(host=NODE, answered=answered, was_asked=was_asked))
    (own,) = confirm_of(Work(desk.fleet, desk.now).on(NODE))
    assert (own.observer, own.answer, own.control) == ("engine", answer, False)


def test_the_policy_is_the_configuration_in_force() -> None:
    desk = Desk()
    desk.fleet.take(replace(desk.inventory, digest="aa"))
    desk.do(e.InventoryRead(inventory=replace(desk.inventory, digest="bb"), is_trial=True))
    silenced(desk)
    desk.do(e.InventoryRead(inventory=replace(desk.inventory, digest="cc")))
    desk.do(e.ActionAsked(host=HostName("node-1"), action=Action.OFF, by="p", reason=""))
    assert decided(desk)[0].policy == "aa"
    assert decided(desk, HostName("node-1"))[0].policy == "cc"


def test_a_store_of_an_older_format_has_none_and_all_else_goes_on() -> None:
    desk = Desk()
    desk.do(e.LeaseRenewed(until=1e12, format=2))
    silenced(desk)
    assert decided(desk) == []
    assert desk.state().operation is not None
    desk.do(e.LeaseRenewed(until=1e12, format=3))
    desk.do(e.ActionAsked(host=HostName("node-1"), action=Action.OFF, by="p", reason=""))
    assert outcomes(desk, HostName("node-1")) == ["refuse"]


def test_ids_differ_also_after_a_batch_was_rejected() -> None:
    desk = Desk()
    for _ in range(3):
        desk.do(e.ActionAsked(host=NODE, action=Action.OFF, by="p", reason=""))
    assert [it.id for it in decided(desk)] == ["d-1-1", "d-1-2", "d-1-3"]


def test_folding_a_decision_changes_no_state() -> None:
    desk = paused()
    state: HostState = desk.state()
    fleet: Fleet = desk.fleet
    fleet.apply(r.Entry(at=ZERO + 1e6, host=NODE, record=decided(desk)[0]))
    assert desk.state() is state


def test_margins_say_how_far_a_gate_is_from_changing() -> None:
    desk = Desk()
    margins = {it.gate: margin_of(it) for it in gates.all_gates(desk.fleet, NODE, desk.now)}
    assert margins["connectivity"] == "3 more overdue"
    assert margins["budget"].endswith(" drawn")
    assert margins["attempts"].endswith(" left")
    assert margins["lease"].endswith(" s left")
    assert margins["armed"] == ""


def test_other_records_hold_no_margin() -> None:
    desk = paused()
    held = [it.record for it in desk.entries if isinstance(it.record, r.HostHeld)]
    assert {type(it).__name__ for record in held for it in record.gates} == {"GateVerdict"}


@pytest.mark.parametrize("silent", [["node-2"], ["node-2", "node-3", "node-4"]], ids=["fenced", "held"])
def test_the_examples_of_the_page_are_true(silent: list[str]) -> None:
    desk = Desk()
    desk.go(30.0, silent=[HostName(name) for name in silent])
    said = "\n".join(lines(NODE, decided(desk)[0]))
    assert f"```text\n{said}\n```" in (ROOT / "docs/gates.md").read_text(encoding="utf-8")
