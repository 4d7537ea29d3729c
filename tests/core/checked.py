"""Helpers for the path check: feeds results to the desk, and builds hosts that are checked, distrusted or fenced."""

from collections.abc import Mapping

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.model.names import DeviceName, HostName, ProxyName
from fenced.model.power import Power
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

INTERVAL = 600.0


def desk(*devices: str, proxies: tuple[str, ...] = (), settings: Mapping[str, Setting] | None = None) -> Desk:
    """Return a calm fleet with the path check on."""
    return Desk(
        Rack(
            devices=devices or ("bmc:1",),
            proxies=proxies,
            reach=proxies or ("engine",),
            settings={"check.interval_seconds": INTERVAL, **(settings or {})},
        )
    )


def check(
    at: Desk, device: str, power: Power = Power.ON, *, through: str = "engine", error: str | None = None,
    failure: str = "", host: HostName = NODE, started: float | None = None, told: tuple[str, ...] = (),
) -> Decision:  # fmt: skip
    """Report the result of reading one path just now."""
    return at.do(
        e.PathChecked(
            host=host,
            device=DeviceName(device),
            proxy=ProxyName(through),
            started=at.now if started is None else started,
            ended=at.now,
            power=Power.UNKNOWN if error is not None else power,
            error=error,
            failure=failure or ("failed" if error is not None else ""),
            identities=told,
        )
    )


def check_off(at: Desk, *devices: str, reads: int = 3, apart: float = 20.0) -> None:
    """The devices read OFF repeatedly while all hosts are heard."""
    for _ in range(reads):
        for device in devices:
            check(at, device, Power.OFF)
        at.go(apart)


def level(at: Desk) -> str:
    """Return the last recorded fenceable level."""
    fenceable = at.state().fenceable
    return "nothing" if fenceable is None else fenceable.level.value


def why(at: Desk) -> set[tuple[str | None, str]]:
    fenceable = at.state().fenceable
    assert fenceable is not None
    return {(reason.device, reason.kind) for reason in fenceable.why}


def distrusts(at: Desk) -> set[str]:
    return set(at.state().distrusted)


def told(at: Desk) -> list[str]:
    """Return the events about trust and fenceability, in order."""
    words = {"host.distrusted", "host.trusted", "host.fenceable_changed"}
    return [word.removeprefix("host.") for word in at.told if word in words]


def changes(at: Desk) -> list[str]:
    return [record.level.value for record in at.records(r.FenceableChanged)]


MISLABELLED = ("bmc:1", "pdu-a:2", "pdu-b:2")


def mislabelled() -> Desk:
    """Return a host with good outlets and a BMC that read OFF while the host was heard."""
    at = desk(*MISLABELLED)
    check_off(at, "bmc")
    assert distrusts(at) == {"bmc"}
    return at


def cycle(at: Desk, *, bmc: Power, boot: str = "b2") -> None:
    """The host falls silent, is fenced by its outlets while the BMC reads `bmc`, and comes back with a new boot id."""
    at.fence()
    for _ in range(200):
        if at.records(r.HostFenced):
            break
        if at.waiting(c.RunRace, "bmc"):
            at.race("bmc", bmc)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.serve(until="operation_ended")
    at.go(60.0, silent=[NODE])
    at.beat(boot=boot)
