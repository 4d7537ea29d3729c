"""What the check tells the desk, and short ways to a host that is checked, distrusted or fenced by another level."""

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
    """A calm fleet with the check on."""
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
    """One path was read just now."""
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
    """The devices read OFF again and again while everybody is heard."""
    for _ in range(reads):
        for device in devices:
            check(at, device, Power.OFF)
        at.go(apart)


def level(at: Desk) -> str:
    """What was recorded last, in a word."""
    fenceable = at.state().fenceable
    return "nothing" if fenceable is None else fenceable.level.value


def why(at: Desk) -> set[tuple[str | None, str]]:
    fenceable = at.state().fenceable
    assert fenceable is not None
    return {(reason.device, reason.kind) for reason in fenceable.why}


def distrusts(at: Desk) -> set[str]:
    return set(at.state().distrusted)


def told(at: Desk) -> list[str]:
    """Events of trust and fenceability, in order."""
    words = {"host.distrusted", "host.trusted", "host.fenceable_changed"}
    return [word.removeprefix("host.") for word in at.told if word in words]


def changes(at: Desk) -> list[str]:
    return [record.level.value for record in at.records(r.FenceableChanged)]


MISLABELLED = ("bmc:1", "pdu-a:2", "pdu-b:2")


def mislabelled() -> Desk:
    """A BMC that read OFF while the host was heard, and outlets that are good."""
    at = desk(*MISLABELLED)
    check_off(at, "bmc")
    assert distrusts(at) == {"bmc"}
    return at


def cycle(at: Desk, *, bmc: Power, boot: str = "b2") -> None:
    """Silence, a fence by the outlets with the BMC reading so meanwhile, and a new run of the host."""
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
