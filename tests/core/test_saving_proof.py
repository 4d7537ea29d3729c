"""What proves that a host comes back after an ON of the daemon, and what does not (S24, `proven_on`)."""

from fenced.core import commands as c
from fenced.core.durable.state import Saving
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Action, Power, What
from tests.core.desk import NODE, Desk
from tests.core.saving_desk import BMC, HOSTS, SavingDesk

FIRST = HostName(HOSTS[0])


def until_lit(desk: Desk, name: HostName, seconds: float = 120.0) -> None:
    """Let time pass until the ON of a host has been sent and done, and nothing was read since."""
    end = desk.now + seconds
    while desk.now < end:
        if found := [it for it in desk.waiting(c.SwitchDevice) if it.host == name and it.what is What.ON]:
            desk.switched(str(found[0].device))
            return
        if not desk.serve_one():
            desk.go(0.5, silent=[name])
    raise AssertionError(f"no ON of {name} was sent")


def saving(desk: Desk, name: HostName = FIRST) -> Saving:
    return desk.fleet.hosts[name].saving


def test_a_host_that_is_heard_before_its_chassis_reads_on_is_proven() -> None:
    desk = SavingDesk()
    assert desk.put_to_sleep() == FIRST
    desk.wanted()
    until_lit(desk, FIRST)
    desk.set_power(Power.OFF, BMC, name=FIRST)  # the BMC is slow to tell
    desk.live(5.0)
    desk.asleep.discard(FIRST)
    desk.boots[FIRST] = "b2"
    desk.beat(FIRST, boot="b2")
    assert desk.is_now(FIRST) == "healthy" and saving(desk).proven_at is None
    desk.set_power(Power.ON, BMC, name=FIRST)
    desk.live(10.0)
    assert saving(desk).proven_at is not None and not saving(desk).is_switched_on


def test_a_fenced_host_that_is_heard_before_its_chassis_reads_on_is_proven() -> None:
    desk = SavingDesk(min_on=99)
    desk.live(60.0)
    desk.asleep.add(FIRST)
    until_lit(desk, FIRST, seconds=300.0)
    desk.set_power(Power.OFF, BMC, name=FIRST)
    desk.live(5.0)
    desk.boot(FIRST)
    desk.set_power(Power.OFF, BMC, name=FIRST)
    desk.beat(FIRST, boot="b2")
    assert desk.is_now(FIRST) == "healthy"
    desk.set_power(Power.ON, BMC, name=FIRST)
    desk.live(10.0)
    assert saving(desk).proven_at is not None


def test_a_host_whose_chassis_never_reads_on_is_not_proven() -> None:
    desk = SavingDesk()
    desk.put_to_sleep()
    desk.wanted()
    until_lit(desk, FIRST)
    desk.asleep.discard(FIRST)
    desk.boots[FIRST] = "b2"
    desk.beat(FIRST, boot="b2")
    desk.set_power(Power.UNKNOWN, BMC, name=FIRST)
    desk.live(1500.0)
    assert saving(desk).proven_at is None


def test_a_host_that_ran_all_the_time_proves_nothing() -> None:
    desk = Desk()
    desk.go(30.0)
    second = desk.inventory.hosts[NODE].devices[-1].name
    desk.set_power(Power.OFF, str(second), name=NODE)
    desk.ask(Action.ON)
    desk.serve(until="operation_ended", seconds=300.0)
    assert desk.power(NODE, DeviceName(second)) is Power.ON and not saving(desk, NODE).is_switched_on
    desk.go(30.0, silent=[NODE])
    desk.beat(boot="b2")
    assert saving(desk, NODE).proven_at is None


def test_a_host_that_did_not_come_back_in_time_is_not_proven_by_who_starts_it_later() -> None:
    desk = SavingDesk()
    desk.put_to_sleep()
    desk.wanted()
    desk.live(1500.0)
    assert "host.wake_failed" in desk.told
    desk.boot(FIRST)
    desk.live(30.0)
    assert desk.is_now(FIRST) == "healthy" and saving(desk).proven_at is None
