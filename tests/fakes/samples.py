"""A host and an operation with everything in it, for whatever shows or stores them."""

from fenced.core.durable.state import (
    DeviceRun,
    Exclusion,
    Operation,
    RaceEntry,
    Restored,
    Step,
)
from fenced.model.inventory import Device, DeviceSpec, Host, Secret
from fenced.model.names import (
    ENGINE,
    ClusterName,
    DatacenterName,
    DeviceName,
    HostName,
    OperationId,
    PlugId,
    ProxyName,
    Token,
    UnitId,
)
from fenced.model.power import (
    Action,
    Cause,
    Kind,
    OperationState,
    Outcome,
    Power,
    Proof,
    Verdict,
    What,
)

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z"""
PDU_A, PDU_B = DeviceName("pdu-a"), DeviceName("pdu-b")


def make_host(name: str, cluster: str = "c1") -> Host:
    """A host with two outlets."""
    devices = tuple(
        Device(
            name=device,
            kind=Kind.OUTLET,
            level=1,
            proxies=("cluster", "engine"),
            spec=DeviceSpec(
                driver="fence_dummy",
                plug_id=PlugId(f"{name}/{device}"),
                unit_id=UnitId(str(device)),
                address="10.9.1.1",
                password=Secret("hunter2-hunter2"),
            ),
        )
        for device in (PDU_A, PDU_B)
    )
    return Host(name=HostName(name), cluster=ClusterName(cluster), datacenter=DatacenterName("dc1"), devices=devices)


def finished_restart(name: str = "1-7", host: str = "node-2") -> Operation:
    """An operation with everything in it: races with each verdict, a failed step, commands, a restore."""
    race = (
        RaceEntry(
            proxy=ProxyName("px1"), tier=1, verdict=Verdict.TIMED_OUT, started_ms=0, ended_ms=5000, error="no answer"
        ),
        RaceEntry(proxy=ProxyName("px2"), tier=1, verdict=Verdict.WON, started_ms=250, ended_ms=310, power=Power.ON),
        RaceEntry(proxy=ENGINE, tier=2, verdict=Verdict.NOT_STARTED),
    )

    def step(number: int, what: What, start: float, end: float, outcome: Outcome, error: str | None = None) -> Step:
        token = None if what is What.STATUS else Token(epoch=1, sequence=number)
        return Step(
            number=number,
            what=what,
            proxy=ProxyName("px2"),
            started=START + start,
            ended=START + end,
            outcome=outcome,
            token=token,
            error=error,
        )

    steps = (
        step(1, What.OFF, 0.4, 1.4, Outcome.TIMED_OUT, "no answer from 10.9.1.1"),
        step(2, What.OFF, 1.5, 2.5, Outcome.DONE),
        step(3, What.STATUS, 2.6, 2.7, Outcome.UNKNOWN),
        step(4, What.STATUS, 3.6, 3.7, Outcome.OFF),
        step(5, What.STATUS, 4.6, 4.7, Outcome.OFF),
        step(6, What.ON, 5.0, 6.0, Outcome.DONE),
        step(7, What.STATUS, 6.1, 6.2, Outcome.ON),
    )
    worked = DeviceRun(
        device=PDU_A,
        level=1,
        kind=Kind.OUTLET,
        proxy=ProxyName("px2"),
        race=race,
        excluded=(Exclusion(proxy="node-2", why="the target itself"),),
        steps=steps,
        power=Power.ON,
        is_switched_off=True,
        is_switched_on=True,
        off_attempts=2,
    )
    found_off = DeviceRun(
        device=PDU_B, level=1, kind=Kind.OUTLET, proxy=ENGINE, steps=steps[3:], power=Power.ON, is_switched_on=True
    )
    return Operation(
        id=OperationId(name),
        host=HostName(host),
        action=Action.RESTART,
        cause=Cause.SILENCE,
        by="fenced",
        reason="silent for 21 s",
        started=START,
        ended=START + 6.25,
        deadline=START + 300,
        joined=("alice",),
        state=OperationState.DONE,
        token=Token(epoch=1, sequence=6),
        devices=(worked, found_off),
        power=Power.ON,
        is_fenced=True,
        proof=Proof.DEVICE_VERIFIED,
        proof_level=1,
        restored=Restored.ALL,
    )
