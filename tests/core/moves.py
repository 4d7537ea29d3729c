"""Moves that several scenarios of the core share: fence a host, let commands fail, load a new inventory."""

from collections.abc import Callable
from dataclasses import replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Operation
from fenced.model.answers import Accepted
from fenced.model.inventory import Host
from fenced.model.names import PlugId
from fenced.model.power import Action, Outcome, Power, State, What
from tests.core.desk import NODE, Desk, said
from tests.world.rack import Rack, Setting

FAILS_SOON: dict[str, Setting] = {"power.attempts": 1, "power.verify_timeout_seconds": 5.0}


def off_and_fenced(rack: Rack | None = None) -> Desk:
    at = Desk(rack)
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    return at


def until_sent(at: Desk, count: int = 2) -> None:
    """Serve until `count` commands wait for their devices."""
    for _ in range(1000):
        if len(at.waiting(c.SwitchDevice)) >= count:
            return
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    raise AssertionError(f"only {at.waiting(c.SwitchDevice)} were sent")


def taken(at: Desk, device: str) -> None:
    """The device accepts its command but has not acted on it yet."""
    command = at.take(c.SwitchDevice, device)
    at.do(
        e.StepFinished(
            host=NODE, operation=command.operation, device=command.device, number=command.number,
            outcome=Outcome.DONE, error=None, is_end_known=True,
        )
    )  # fmt: skip


def fail(at: Desk) -> None:
    """The host is silent and every command fails, until its operation has ended."""
    end = at.now + 400.0
    while at.state().operation is not None:
        assert at.now < end, f"it goes on for ever: {at.operation()}"
        if at.waiting(c.SwitchDevice):
            at.switched(at.waiting(c.SwitchDevice)[0].device, Outcome.FAILED)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])


def next_watch(at: Desk, *powers: tuple[str, Power]) -> None:
    """The next watch round reads the devices as they are, or as given."""
    for _ in range(200):
        if at.waiting(c.WatchHost):
            break
        at.go(1.0, silent=[NODE])
    at.watched(*powers)


def reload(at: Desk, change: Callable[[Host], Host | None]) -> str:
    """Load an inventory with one host changed or removed. Return `accepted ` or `refused RULE`."""
    hosts = {name: host for name, host in at.inventory.hosts.items() if name != NODE}
    if (changed := change(at.inventory.hosts[NODE])) is not None:
        hosts[NODE] = changed
    inventory = replace(at.inventory, hosts=hosts)
    answer = at.do(e.InventoryRead(inventory=inventory)).answer
    if isinstance(answer, Accepted):
        at.inventory = inventory
    return said(answer)


def first_on(host: Host, plug: str) -> Host:
    """Return the host with its first device on that plug."""
    first = replace(host.devices[0], spec=replace(host.devices[0].spec, plug_id=PlugId(plug)))
    return replace(host, devices=(first, *host.devices[1:]))


def ons(at: Desk) -> list[r.StepStarted]:
    return [step for step in at.records(r.StepStarted) if step.what is What.ON]


def started(at: Desk) -> list[Operation]:
    return [record.operation for record in at.records(r.OperationStarted)]
