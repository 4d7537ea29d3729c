"""The judge finds each breach in made evidence, and none in a sound fence."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.bed import Life
from tests.cluster.chassis import Call, Change
from tests.cluster.evidence import Command, Evidence, Floor, Kept
from tests.cluster.judge import judge
from tests.cluster.wire import Carried

HOST, PLUGS = "node-1", ("a", "b")


def call(action: str, plug: str, at: float, *, seconds: float = 1.0, proxy: str = "px1") -> Call:
    return Call(
        action=action, plug=plug, proxy=proxy, started=at, acted=at + seconds / 2, ended=at + seconds, answer="done"
    )  # fmt: skip


def command(action: str, plug: str, at: float, *, epoch: int = 1, seconds: float = 1.2, proxy: str = "px1") -> Command:
    return Command(
        proxy=proxy, what=action, plug=plug, epoch=epoch, sequence=1, started=at - 0.1, ended=at + seconds,
        outcome="done",
    )  # fmt: skip


def event(kind: str, id: str, at: float, **data: Any) -> Carried:
    time = datetime.fromtimestamp(at - 0.5, UTC).isoformat()
    body = {"id": id, "type": f"io.fenced.{kind}", "subject": HOST, "time": time, "data": {"operation": "1-1", **data}}
    return Carried(at=at, word="event", name=HOST, body=body)


SOUND = Evidence(
    plugs={HOST: PLUGS},
    lives=[Life(at=10.0, host=HOST, is_alive=False), Life(at=16.5, host=HOST, is_alive=True)],
    calls=[
        call("status", "a", 11.0), call("off", "a", 12.0), call("off", "b", 12.1), call("on", "a", 16.0),
        call("on", "b", 16.1),
    ],
    changes=[
        Change(at=12.5, plug="a", power="off"), Change(at=12.6, plug="b", power="off"),
        Change(at=16.5, plug="a", power="on"), Change(at=16.6, plug="b", power="on"),
    ],
    commands=[
        command("off", "a", 12.0), command("off", "b", 12.1), command("on", "a", 16.0), command("on", "b", 16.1),
    ],
    floors=[Floor(proxy="px1", at=5.0, epoch=1)],
    takings=[],
    carried=[event("host.fencing", "1-2", 11.0), event("host.fenced", "1-3", 15.0), event("host.fenced", "1-3", 15.5)],
    kept=[Kept(id="1-2", kind="host.fencing", host=HOST), Kept(id="1-3", kind="host.fenced", host=HOST)],
    open_operations=[],
)  # fmt: skip


def changed(**fields: Any) -> Evidence:
    """Return the sound evidence with more of some lists."""
    longer: dict[str, Any] = {name: [*getattr(SOUND, name), *more] for name, more in fields.items()}
    return dataclasses.replace(SOUND, **longer)


def test_a_sound_fence_has_no_breach() -> None:
    assert judge(SOUND) == []


def test_commands_of_a_newer_epoch_and_earlier_ones_of_an_older_are_sound() -> None:
    assert judge(changed(floors=[Floor(proxy="px1", at=16.4, epoch=2), Floor(proxy="px2", at=6.0, epoch=2)])) == []


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        ("no_old_command_starts_after_the_floor", changed(floors=[Floor(proxy="px1", at=15.9, epoch=2)])),
        ("every_call_has_its_command", changed(calls=[call("on", "a", 20.0)])),
        ("every_call_has_its_command", changed(calls=[call("on", "a", 16.0, proxy="px2")])),
        (
            "no_two_offs_of_a_plug_overlap",
            changed(calls=[call("off", "a", 12.9, proxy="px2")], commands=[command("off", "a", 12.9, proxy="px2")]),
        ),
        ("no_on_overlaps_an_off", changed(calls=[call("on", "a", 12.9)], commands=[command("on", "a", 12.9)])),
        ("fenced_is_true", changed(carried=[event("host.fenced", "1-9", 18.0, operation="1-8")])),
        ("fenced_is_true", dataclasses.replace(SOUND, changes=SOUND.changes[:1])),
        (
            "a_living_host_keeps_its_power",
            changed(calls=[call("off", "a", 18.0)], commands=[command("off", "a", 18.0)]),
        ),
        ("each_dead_host_is_fenced", dataclasses.replace(SOUND, carried=SOUND.carried[:1], kept=SOUND.kept[:1])),
        ("each_dead_host_is_fenced", changed(open_operations=["1-1"])),
        ("no_announcement_is_lost", changed(kept=[Kept(id="1-4", kind="host.restored", host=HOST)])),
        ("no_announcement_is_doubled", changed(carried=[event("host.fenced", "1-9", 15.2)])),
    ],
)
def test_each_breach_is_found(rule: str, evidence: Evidence) -> None:
    found = {breach.partition(":")[0] for breach in judge(evidence)}
    assert rule in found


def test_an_announcement_that_says_what_it_replaces_is_no_second_one() -> None:
    assert judge(changed(carried=[event("host.fenced", "1-9", 15.2, replaces="1-3")])) == []
