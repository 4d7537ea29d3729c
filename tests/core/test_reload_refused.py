"""A reload is refused if it would lose a device that a command, a read or a debt needs."""

from dataclasses import replace

from fenced.model.names import DeviceName, PlugId
from fenced.model.power import Action, Power, State
from tests.core.desk import NODE, Desk
from tests.core.moves import FAILS_SOON, fail, first_on, ons, reload, until_sent
from tests.world.rack import Rack


def test_a_reload_that_drops_a_device_that_is_being_read_is_refused() -> None:
    at = Desk()
    at.ask(Action.STATUS)
    assert reload(at, lambda host: replace(host, devices=host.devices[:1])) == "refused busy"
    at.race("pdu-b")
    assert at.state().power == ((DeviceName("pdu-b"), Power.ON),)


def test_a_reload_that_drops_a_host_with_an_operation_is_refused() -> None:
    at = Desk()
    at.ask(Action.OFF)
    until_sent(at)
    assert reload(at, lambda host: None) == "refused busy"
    assert NODE in at.fleet.hosts
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED


def test_what_is_owed_may_be_reached_by_another_driver_but_not_be_forgotten_or_moved() -> None:
    at = Desk(Rack(settings=FAILS_SOON))
    assert reload(at, lambda host: first_on(host, "fence_apc|10.0.0.9:22|7")).startswith("accepted")
    at.ask(Action.OFF)
    at.race("pdu-a")
    at.race("pdu-b")
    at.switched("pdu-a")
    fail(at)
    assert "pdu-a" in at.state().owed
    assert reload(at, lambda host: replace(host, devices=host.devices[1:])) == "refused busy"
    assert reload(at, lambda host: first_on(host, "fence_apc|10.0.0.9:22|8")) == "refused busy"
    assert reload(at, lambda host: first_on(host, "snmp_outlet|10.0.0.9:161|8")) == "refused busy"
    assert reload(at, lambda host: first_on(host, "snmp_outlet|10.0.0.9:161|7")).startswith("accepted")
    at.ask(Action.ON)
    at.serve(until="operation_ended")
    assert PlugId("snmp_outlet|10.0.0.9:161|7") in [step.plug_id for step in ons(at)]
    assert at.state().owed == ()
