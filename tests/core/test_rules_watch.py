"""S17 in the watch: readings of a distrusted level prove nothing about a failed host either."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.said.announce import announce
from fenced.model.names import DeviceName
from fenced.model.power import Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

BOTH = ("pdu-a", "pdu-b")


def failed(at: Desk) -> None:
    at.fence()
    for device in BOTH:
        at.race(device)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    while not at.records(r.OperationEnded):
        for device in BOTH:
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
    assert at.state().state is State.FAILED


def rounds(at: Desk) -> None:
    for _ in range(4):
        while not at.waiting(c.WatchHost):
            at.go(5.0, silent=[NODE])
        at.watched(*((device, Power.OFF) for device in BOTH))


def test_a_distrusted_level_that_reads_off_fences_no_failed_host() -> None:
    at = Desk(Rack(settings={"power.attempts": 1}))
    failed(at)
    distrust = r.DevicesDistrusted(devices=(DeviceName("pdu-a"),), why="told")
    at.fleet.apply(r.Entry(at=at.now, host=NODE, record=distrust))
    rounds(at)
    assert at.state().state is State.FAILED


def test_a_believed_level_that_reads_off_fences_a_failed_host() -> None:
    at = Desk(Rack(settings={"power.attempts": 1}))
    failed(at)
    rounds(at)
    assert at.state().state is State.FENCED


@pytest.mark.parametrize("is_by_watch", [True, False], ids=["the watch", "an operation"])
def test_fenced_names_devices_that_only_an_operator_vouches_for(is_by_watch: bool) -> None:
    """`fenced` names the devices that only an operator confirmed to cut power, whatever proved them off (S1)."""
    at = Desk(Rack(settings={"power.attempts": 1}, vouched=("pdu-b",)))
    if is_by_watch:
        failed(at)
        rounds(at)
    else:
        at.fence()
        at.serve(until="host_fenced")
    [fenced] = at.records(r.HostFenced)
    assert fenced.vouched == ("pdu-b",)
    [entry] = [entry for entry in at.entries if entry.record is fenced]
    assert [message.data["vouched"] for message in announce(entry, at.state(), at.state())] == [["pdu-b"]]


def test_a_message_received_before_the_on_ends_no_restoring() -> None:
    """Without a boot id only the time separates the new run from the old one."""
    at = Desk()
    at.fence()
    at.serve(until="host_fenced")
    before = at.now
    at.go(11.0, silent=[NODE])
    assert at.state().state is State.RESTORING
    health = e.Health(host=NODE, received=before, is_retained=False, boot=None, sequence=None, status=e.HealthStatus.OK,
                      interval_seconds=None, workloads=0, roles=())  # fmt: skip
    assert not at.do(health).is_news
    assert at.state().state is State.RESTORING
