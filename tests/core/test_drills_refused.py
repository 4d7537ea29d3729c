"""Which host may be drilled, and when; each refusal names its rule."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.inventory import Inventory
from fenced.model.power import Action
from tests.core.desk import NODE, Desk, said
from tests.core.drill_desk import ONE, OTHER, desk, drill
from tests.world.rack import Rack


def edited(at: Desk, **changes: object) -> None:
    inventory: Inventory = at.inventory
    host = replace(inventory.hosts[NODE], **changes)  # type: ignore[arg-type]
    at.do(e.InventoryRead(inventory=replace(inventory, hosts={**inventory.hosts, NODE: host})))


def test_only_a_host_for_drills_is_drilled_and_the_refusal_says_what_to_write() -> None:
    at = desk()
    answer = at.do(e.DrillAsked(host=OTHER, by="person", reason="", is_forced=True)).answer
    assert said(answer) == "refused drill"
    assert "`drill = true`" in at.records(r.RequestRefused)[0].why
    assert not at.records(r.OperationStarted)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"is_protected": True}, "protected"),
        ({"is_own_machine": True}, "own_machine"),
        ({"is_beside_broker": True}, "broker"),
        ({"devices": ()}, "devices"),
    ],
)
def test_a_host_that_must_not_be_cut_is_not_drilled(changes: dict[str, object], rule: str, force: bool) -> None:
    at = desk()
    edited(at, **changes)
    assert drill(at, force=force) == f"refused {rule}"


def test_it_needs_no_automatic_fencing() -> None:
    at = desk(host__automatic=False)
    assert drill(at).startswith("accepted")


def test_a_disarmed_daemon_and_a_pause_refuse_it() -> None:
    at = desk()
    at.do(e.PauseAsked(match=f"host={NODE}", by="person", reason="", until=None))
    assert drill(at, force=True) == "refused paused"
    at = desk()
    at.do(e.ArmAsked(is_on=False, by="person", reason=""))
    assert drill(at, force=True) == "refused armed"


def test_a_host_in_maintenance_is_not_drilled() -> None:
    at = desk()
    at.maintain()
    assert drill(at, force=True) == "refused maintenance"


def test_a_host_that_is_not_heard_right_now_is_not_drilled() -> None:
    at = desk()
    at.go(8.0, silent=[NODE])
    assert drill(at, force=True) == "refused not_heard"
    assert "a drill needs a host that beats" in at.records(r.RequestRefused)[0].why


def test_a_host_that_also_sends_stale_beats_is_not_drilled() -> None:
    """Two reporters share its name: which one the power would silence is not known."""
    at = desk()
    at.beat(sequence=9)
    at.beat(sequence=8)
    at.beat(sequence=10)
    assert drill(at, force=True) == "refused not_heard"
    assert at.records(r.RequestRefused)[0].why == f"{NODE} also sends stale beats"


def test_a_host_without_boot_ids_is_not_drilled() -> None:
    at = Desk(Rack(drills=(NODE,)), is_calm=False)
    at.do(e.LeaseRenewed(until=1e12))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    at.go(85.0, silent=[NODE], pace=5.0)
    at.beat(boot=None)
    assert drill(at, force=True) == "refused no_boot"


def test_a_host_with_workloads_is_not_drilled() -> None:
    at = desk()
    at.beat(workloads=3)
    assert drill(at, force=True) == "refused in_use"


def test_live_evidence_refuses_it_unless_forced() -> None:
    at = desk()
    at.do(
        e.Evidence(
            host=NODE, source="san", received=at.now, is_retained=False, evidence_kind="storage_lease", is_alive=True,
            ttl_seconds=60.0,
        )
    )  # fmt: skip
    assert drill(at) == "refused live_evidence"
    assert drill(at, force=True).startswith("accepted")


def test_a_host_whose_devices_are_distrusted_is_not_drilled() -> None:
    at = desk(devices=ONE)
    lied = r.DevicesDistrusted(devices=(at.inventory.hosts[NODE].devices[0].name,), why="it lied")
    at.fleet.apply(r.Entry(at=at.now, host=NODE, record=lied))
    assert drill(at, force=True) == "refused distrusted"


def test_two_operations_do_not_run_at_once() -> None:
    at = desk()
    at.ask(Action.STATUS)
    assert drill(at, force=True) == "refused busy"


def test_a_drill_whose_host_is_not_back_yet_is_not_over() -> None:
    at = desk()
    assert drill(at).startswith("accepted")
    operation = at.operation().id
    at.serve(until="host_fenced", seconds=120.0)
    at.do(e.AnnouncementDelivered(host=NODE, operation=operation))
    at.serve(until="operation_ended")
    assert drill(at, force=True) == "refused busy"
    assert at.records(r.RequestRefused)[0].why.startswith(f"{operation} is not over on {NODE}")
