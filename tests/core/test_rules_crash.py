"""S13: a reading from before a crash proves nothing after it."""

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import Phase
from fenced.model.power import Power
from tests.core.desk import NODE, Desk
from tests.core.test_recovery import next_life
from tests.world.rack import Rack


def test_a_level_that_was_proven_before_the_crash_is_read_again() -> None:
    """The daemon dies while it inspects the other devices, and an outlet is switched on meanwhile."""
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2")))
    at.fence()
    while at.operation().phase is not Phase.INSPECTING:
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    again = next_life(at, down=60.0)
    again.go(0.5, silent=[NODE])
    assert again.waiting(c.RunRace, "pdu-a") and again.waiting(c.RunRace, "pdu-b")
    for device in ("pdu-a", "pdu-b"):
        again.race(device, Power.ON)
    assert again.operation().phase is Phase.PROVING
    assert not again.records(r.HostFenced)
