"""All observers of a silent host look at once; whoever fails or hangs costs nobody else anything."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Observer, Saw, Target
from fenced.engine.looking import TRANSIT_SECONDS, Looking
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.model.settings import DetectionSettings
from fenced.ports.devices import ProxyUnreachable
from fenced.ports.liveness import Question, Seen
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry

NODE = HostName("node-2")
PX1, PX2, PX3 = (ProxyName(f"px{number}") for number in (1, 2, 3))
TIMEOUT = DetectionSettings().probe_timeout_seconds
TARGETS = (
    Target(network="", address="10.0.0.2", controls=("10.0.0.3",)),
    Target(network="storage", address="10.1.0.2", controls=("10.1.0.3",)),
)


def seen_of(question: Question, saw: Saw, answered: str = "") -> tuple[Seen, ...]:
    return tuple(
        Seen(
            network=target.network, target=target.address, saw=saw, answered=answered, why=f"{saw.value} it is",
            control=target.controls[0] if target.controls else "",
        )
        for target in question.targets
    )  # fmt: skip


@dataclass(slots=True)
class Eyes:
    """What each observer sees: a state, an error, or None, which hangs. Also ports.liveness.Liveness of the daemon."""

    sights: Mapping[ProxyName, Saw | Exception | None]
    asked: list[tuple[ProxyName, Question]] = field(default_factory=list)

    async def look(self, question: Question, *, why_not: object = None) -> tuple[Seen, ...]:
        return await self.ask(ENGINE, question, TIMEOUT)

    async def ask(self, proxy: ProxyName, question: Question, seconds: float) -> tuple[Seen, ...]:
        self.asked.append((proxy, question))
        sight = self.sights[proxy]
        if sight is None:
            await asyncio.sleep(3600)
        if isinstance(sight, Exception):
            raise sight
        assert sight is not None
        await asyncio.sleep(0.01 if sight is Saw.ALIVE else TIMEOUT)
        return seen_of(question, sight, "tcp 22" if sight is Saw.ALIVE else "")


def asked(
    eyes: Eyes, *, command: c.AskLife | None = None, proxies: tuple[str, ...] = ("px1", "px2"), on_host: str = "",
) -> tuple[e.LifeAsked, float, RecordingTelemetry]:  # fmt: skip
    """Return the event, how long it took, and what was counted."""

    async def main() -> tuple[e.LifeAsked, float, RecordingTelemetry]:
        clock, telemetry = WorldClock(), RecordingTelemetry()
        machines = {on_host: str(NODE)} if on_host else {}
        inventory = racks.inventory(Rack(proxies=proxies, machines=machines))
        hosts = dict(inventory.hosts)
        hosts[NODE] = replace(hosts[NODE], address="10.0.0.2")
        fleet = Fleet(replace(inventory, hosts=hosts), epoch=1, started=clock.now())
        looking = Looking(fleet=fleet, liveness=eyes, clock=clock, telemetry=telemetry, ask_proxy=eyes.ask)
        begun = clock.now()
        event = await looking.ask(command or of(ENGINE, PX1, PX2))
        assert event is not None
        return event, clock.now() - begun, telemetry

    return run(main())


def of(*names: ProxyName, targets: tuple[Target, ...] = TARGETS) -> c.AskLife:
    observers = tuple(Observer(name=name, domain=f"rack of {name}") for name in names)
    return c.AskLife(host=NODE, observers=observers, targets=targets)


def saws(event: e.LifeAsked) -> list[tuple[str, str, Saw]]:
    return [(str(look.observer.name), look.network, look.saw) for look in event.looks]


def test_all_look_at_once_at_each_address_and_one_event_has_all_they_saw() -> None:
    event, seconds, telemetry = asked(Eyes({ENGINE: Saw.SILENT, PX1: Saw.SILENT, PX2: Saw.SILENT}))
    assert saws(event) == [(name, net, Saw.SILENT) for name in ("engine", "px1", "px2") for net in ("", "storage")]
    assert seconds < TIMEOUT + 0.1, "one waited for the other"
    assert event.answered is None and event.was_asked
    assert {look.control for look in event.looks} == {"10.0.0.3", "10.1.0.3"}
    assert event.looks[2].observer == Observer(name=PX1, domain="rack of px1")
    assert telemetry.counts["looked", "px1", "silent"] == 2


def test_one_that_hangs_is_unknown_in_time_and_one_that_fails_at_once() -> None:
    sights = {ENGINE: Saw.SILENT, PX1: None, PX2: ProxyUnreachable("proxy px2: can't be reached", may_be_done=False)}
    event, seconds, telemetry = asked(Eyes(sights))
    assert [saw for _, _, saw in saws(event)] == [Saw.SILENT] * 2 + [Saw.UNKNOWN] * 4
    assert event.looks[2].why == f"px1 did not answer within {TIMEOUT + TRANSIT_SECONDS:g} s"
    assert event.looks[4].why == "proxy px2: can't be reached"
    assert event.answered is None, "the daemon itself asked, and the host was silent"
    assert abs(seconds - (TIMEOUT + TRANSIT_SECONDS)) < 0.1
    assert telemetry.counts["looked", "px2", "unknown"] == 2


def test_a_sign_of_life_that_one_saw_says_where() -> None:
    event, _, _ = asked(Eyes({ENGINE: Saw.SILENT, PX1: Saw.ALIVE, PX2: Saw.SILENT}))
    assert event.answered == "tcp 22 from px1"
    storage = (TARGETS[1],)
    event, _, _ = asked(Eyes({ENGINE: Saw.SILENT, PX1: Saw.ALIVE}), command=of(ENGINE, PX1, targets=storage))
    assert event.answered == "tcp 22 over storage from px1"


def test_if_nobody_could_look_the_host_was_not_asked() -> None:
    gone = ProxyUnreachable("gone", may_be_done=False)
    event, _, _ = asked(Eyes({ENGINE: Saw.UNKNOWN, PX1: gone, PX2: gone}))
    assert event.answered is None and event.was_asked, "nobody answered, and nobody saw it silent"
    assert {look.saw for look in event.looks} == {Saw.UNKNOWN}


def test_an_observer_that_a_reload_removed_saw_nothing() -> None:
    event, _, _ = asked(Eyes({ENGINE: Saw.SILENT}), command=of(ENGINE, PX3))
    assert [saw for name, _, saw in saws(event) if name == "px3"] == [Saw.UNKNOWN] * 2


def test_silence_without_a_control_is_counted_as_such() -> None:
    alone = (Target(network="", address="10.0.0.2"),)
    _, _, telemetry = asked(Eyes({ENGINE: Saw.SILENT}), command=of(ENGINE, targets=alone))
    assert telemetry.counts["looked", "engine", "no_control"] == 1


def test_a_command_that_names_nobody_means_the_daemon_and_the_address() -> None:
    eyes = Eyes({ENGINE: Saw.ALIVE})
    event, _, _ = asked(eyes, command=c.AskLife(host=NODE))
    assert event.answered == "tcp 22" and saws(event) == [("engine", "", Saw.ALIVE)]
    assert [(name, [target.address for target in question.targets]) for name, question in eyes.asked] == [
        (ENGINE, ["10.0.0.2"])
    ]


def test_the_hosts_own_proxy_agent_is_asked_by_all() -> None:
    eyes = Eyes({ENGINE: Saw.SILENT, PX1: Saw.SILENT})
    asked(eyes, command=of(ENGINE, PX1), proxies=("px1", "px2"), on_host="px2")
    assert len(eyes.asked) == 2
    assert all(len(question.agents) == 1 for _, question in eyes.asked)


def test_a_host_without_anything_to_look_at_was_not_asked() -> None:
    async def main() -> e.LifeAsked | None:
        clock = WorldClock()
        inventory = racks.inventory(Rack())
        hosts = {name: replace(host, address="") for name, host in inventory.hosts.items()}
        fleet = Fleet(replace(inventory, hosts=hosts), epoch=1, started=clock.now())
        eyes = Eyes({})
        looking = Looking(fleet=fleet, liveness=eyes, clock=clock, telemetry=RecordingTelemetry())
        assert await looking.ask(c.AskLife(host=HostName("gone"))) is None
        return await looking.ask(c.AskLife(host=NODE))

    assert run(main()) == e.LifeAsked(host=NODE, answered=None, was_asked=False)
