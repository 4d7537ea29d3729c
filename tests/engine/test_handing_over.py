"""What a standby answers, when a shard may be handed over, and what the controller's own topic says."""

import asyncio
import json
from dataclasses import replace

import pytest

from fenced.core.fleet import Fleet
from fenced.engine import handing_over
from fenced.engine.control import EngineControl
from fenced.engine.misnamed import Misnamed
from fenced.engine.outbox import Outbox
from fenced.engine.reactor import Reactor
from fenced.model.inventory import Inventory
from fenced.model.settings import DaemonSettings
from fenced.ports.control import NotFound, Refused, Standby, Unavailable
from fenced.ports.journal import ControllerView
from tests.fakes.controllers import controller
from tests.fakes.journal import MemoryJournal
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import Broker, WorldBus, WorldClock
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry

ADDRESS = "https://fenced-a.example:8470"
HOLDER = controller("fenced-a", epoch=7, address=ADDRESS)
SELF = controller("fenced-b", is_self=True)


def made(views: list[ControllerView], *, epoch: int) -> EngineControl:
    """Return the control of fenced-b over a reactor that does not run; epoch 0: a standby."""
    clock = WorldClock()
    fleet = Fleet(inventory("fenced-b"), epoch=epoch, started=clock.now())
    journal = MemoryJournal()
    reactor = Reactor(
        fleet=fleet, journal=journal, clock=clock, telemetry=RecordingTelemetry(), controller="fenced-b",
        observe=lambda _: None, heard=lambda *_: None,
    )  # fmt: skip
    control = EngineControl(
        reactor=reactor, journal=journal, clock=clock, is_bus_connected=lambda: True, not_ready=tuple, warnings=tuple,
        proxies=tuple, misnamed=Misnamed(lambda: fleet.inventory, clock),
    )  # fmt: skip
    control.reported(views)
    return control


def inventory(name: str, address: str = "") -> Inventory:
    return replace(racks.inventory(Rack()), daemon=DaemonSettings(name=name, address=address))


def test_a_standby_decides_nothing_itself_and_names_the_holder() -> None:
    async def story() -> None:
        control = made([HOLDER, SELF], epoch=0)
        for change in (
            control.disarm(by="p", reason="r"),
            control.pause(match="*", by="p", reason="r", until=None),
            control.release_store(by="p", reason="r"),
            control.hand_over(shard="main", to="", by="p", reason="r"),
        ):
            with pytest.raises(Standby) as refused:
                await asyncio.wait_for(change, 1.0)
            assert refused.value.active == ADDRESS
            assert "fenced-a" in str(refused.value)
        assert control.fleet().is_standby
        assert [view.report.name for view in control.controllers()] == ["fenced-a", "fenced-b"]

    run(story())


@pytest.mark.parametrize(
    "views",
    [
        [],
        [SELF],
        [controller("fenced-a"), SELF],
        [controller("fenced-a", epoch=7, address=ADDRESS, is_alive=False), SELF],
        [controller("fenced-a", epoch=7), SELF],  # it gives no address
        [controller("fenced-b", epoch=6, address="https://fenced-b.example:8470", is_self=True)],  # it lost the lease
    ],
)
def test_without_a_living_holder_that_has_an_address_none_is_named(views: list[ControllerView]) -> None:
    assert handing_over.standby(views, name="fenced-b").active is None


def test_the_holder_is_no_standby_and_lets_go_when_it_may() -> None:
    async def story() -> None:
        control = made([replace(HOLDER, is_self=True), controller("fenced-c")], epoch=7)
        control.refuse_at_standby()
        assert not control.fleet().is_standby
        with pytest.raises(Unavailable):
            await control.hand_over(shard="main", to="", by="p", reason="r")
        calls: list[tuple[str, ...]] = []

        async def let_go(*given: str) -> None:
            calls.append(given)

        control.on_hand_over(let_go)
        await control.hand_over(shard="main", to="fenced-c", by="p", reason="r")
        assert calls == [("main", "fenced-c", "p", "r")]
        with pytest.raises(NotFound, match="no shard east"):
            await control.hand_over(shard="east", to="", by="p", reason="r")
        with pytest.raises(Refused):
            await control.hand_over(shard="main", to="fenced-b", by="p", reason="r")
        assert len(calls) == 1

    run(story())


@pytest.mark.parametrize(
    ("to", "others", "rule"),
    [
        ("", [], "alone"),
        ("", [controller("fenced-b", is_alive=False)], "alone"),
        ("", [controller("fenced-b", unfit=("the bus is not connected",))], "alone"),
        ("", [controller("fenced-b", unfit=("config_differs",)), controller("fenced-c")], None),
        ("fenced-a", [controller("fenced-b")], "held"),
        ("fenced-b", [controller("fenced-b", is_alive=False)], "unfit"),
        ("fenced-b", [controller("fenced-b", unfit=("config_differs",))], "unfit"),
        ("fenced-b", [controller("fenced-b")], None),
    ],
)
def test_who_may_get_a_shard(to: str, others: list[ControllerView], rule: str | None) -> None:
    views = [replace(HOLDER, is_self=True), *others]
    if rule is None:
        handing_over.check(views, name="fenced-a", shard="main", to=to)
        return
    with pytest.raises(Refused) as refused:
        handing_over.check(views, name="fenced-a", shard="main", to=to)
    assert refused.value.rule == rule


def test_a_controller_that_never_reported_is_unknown() -> None:
    with pytest.raises(NotFound, match="fenced-x"):
        handing_over.check([replace(HOLDER, is_self=True)], name="fenced-a", shard="main", to="fenced-x")


@pytest.mark.parametrize(("epoch", "state", "shards"), [(7, "active", 1), (7, "offline", 0), (0, "standby", 0)])
def test_the_controllers_topic_has_shards_address_and_version(epoch: int, state: str, shards: int) -> None:
    async def story() -> None:
        clock = WorldClock()
        fleet = Fleet(inventory("fenced-a", ADDRESS), epoch=epoch, started=clock.now())
        outbox = Outbox(
            fleet=fleet, journal=MemoryJournal(), bus=WorldBus(Broker(clock), clock, "fenced-a"), clock=clock,
            deliver=lambda _: None, holds_lease=lambda: False, controller="fenced-a",
        )  # fmt: skip
        said = json.loads(outbox.controller_message(state).payload)
        assert (said["state"], said["epoch"], said["address"]) == (state, epoch, ADDRESS)
        assert said["version"]
        assert said["shards"] == [{"shard": "main", "epoch": epoch, "since": said["since"]}][:shards]

    run(story())
