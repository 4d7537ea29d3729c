"""S18 after the daemon moved: earlier commands don't switch a host that is now the daemon's own machine."""

from dataclasses import replace

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Outcome, Power, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack


def sent(at: Desk, what: What) -> int:
    return sum(1 for step in at.records(r.StepStarted) if step.what is what)


def test_a_host_that_became_our_own_machine_is_not_switched_by_what_waited() -> None:
    at = Desk(Rack(devices=("bmc:1",)))
    at.set_power(Power.OFF, "bmc")
    at.ask(Action.ON)
    waiting = at.ask(Action.OFF).removeprefix("accepted ")
    move_to(at)
    at.serve(silent=(), until="operation_ended")
    at.serve(silent=(), seconds=30.0)
    assert at.ended(waiting).state is OperationState.CANCELLED
    assert sent(at, What.OFF) == 0


def test_nothing_is_switched_on_our_own_machine_after_a_restart() -> None:
    for action, what in ((Action.OFF, What.OFF), (Action.ON, What.ON)):
        at = Desk(Rack(devices=("bmc:1",), settings={"power.attempts": 3}))
        at.set_power(Power.ON if action is Action.OFF else Power.OFF, "bmc")
        at.ask(action)
        at.race("bmc")
        at.switched("bmc", Outcome.FAILED)
        before = sent(at, what)
        move_to(at)
        at.do(e.Started())
        at.serve(silent=(), seconds=120.0, until="operation_ended")
        assert sent(at, what) == before
        assert at.state().operation is None


def move_to(at: Desk) -> None:
    """From now on the daemon runs on NODE."""
    hosts = dict(at.inventory.hosts) | {NODE: replace(at.inventory.hosts[NODE], is_own_machine=True)}
    at.inventory = replace(at.inventory, hosts=hosts)
    at.fleet.take(at.inventory)
