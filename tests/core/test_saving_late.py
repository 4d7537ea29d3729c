"""A host that goes down only after `soft_timeout` falls asleep late, and comes back when it is wanted (S24)."""

from fenced.core import events as e
from fenced.model.names import HostName
from fenced.model.power import Power
from tests.core.saving_desk import BMC, SavingDesk


def test_a_host_that_goes_down_late_sleeps_once_its_chassis_reads_off_twice() -> None:
    desk = SavingDesk(watch_interval_seconds=20.0, soft_timeout_seconds=60.0)
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.live(70.0)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told
    desk.beat(name, status=e.HealthStatus.STOPPING)
    desk.asleep.add(HostName(name))
    desk.live(45.0)
    assert desk.is_now(name) == "left", "its chassis still reads ON"
    desk.set_power(Power.OFF, BMC, name=name)
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping"
    desk.wanted(8)
    desk.live(5.0)
    assert desk.is_now(name) == "restoring"
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy"
