"""The lines of the demo's story, made from the API's JSON."""

from typing import Any

from fenced.lab.narrator import Narrator
from fenced.model.moments import parse_rfc3339

STARTED = "2026-01-31T08:00:00.000Z"


def operation(**device: Any) -> dict[str, Any]:
    made = {"name": "pdu-a", "level": 1, "power": "unknown", "already": False, "race": [], "excluded": [], "steps": []}
    return {"id": "4-1", "host": "node-2", "started": STARTED, "devices": [made | device]}


def step(what: str, started: int, ended: int | None, outcome: str | None, error: str | None = None) -> dict[str, Any]:
    return {
        "what": what,
        "proxy": "px-1",
        "started_ms": started,
        "ended_ms": ended,
        "outcome": outcome,
        "error": error,
    }


def candidate(proxy: str, verdict: str, started: int | None, ended: int | None) -> dict[str, Any]:
    return {"proxy": proxy, "tier": 1, "verdict": verdict, "started_ms": started, "ended_ms": ended, "error": None}


def texts(narrator: Narrator, shown: dict[str, Any]) -> list[str]:
    return [f"{line.who}: {line.text}" for line in narrator.operation(shown)]


def test_a_race_is_reported_once_when_it_has_a_winner() -> None:
    narrator = Narrator("node-2")
    assert texts(narrator, operation(race=[candidate("px-hole", "cancelled", 0, None)])) == []
    race = [
        candidate("px-hole", "cancelled", 0, 460),
        candidate("px-1", "won", 200, 260),
        candidate("px-2", "not_started", None, None),
    ]
    assert texts(narrator, operation(race=race)) == [
        "pdu-a: proxies raced: px-hole silent, given up after 460 ms, px-1 won after 60 ms, px-2 not needed"
    ]
    assert texts(narrator, operation(race=race)) == []


def test_steps_are_reported_as_they_end_and_equal_readings_once() -> None:
    narrator = Narrator("node-2")
    steps = [step("status", 0, 10, "on"), step("off", 20, None, None)]
    assert texts(narrator, operation(steps=steps)) == ["pdu-a: reads ON (through px-1)"]
    steps = [
        step("status", 0, 10, "on"),
        step("off", 20, 60, "done"),
        step("status", 60, 70, "off"),
        step("status", 270, 280, "off"),
        step("on", 300, 350, "failed", "no answer"),
    ]
    assert texts(narrator, operation(steps=steps)) == [
        "pdu-a: switch OFF through px-1: done in 40 ms",
        "pdu-a: reads OFF (through px-1)",
        "pdu-a: switch ON through px-1: failed in 50 ms: no answer",
    ]


def test_events_of_other_hosts_and_repetitions_are_not_reported() -> None:
    narrator = Narrator("node-2")
    event = {
        "id": "17",
        "type": "io.fenced.host.suspected",
        "subject": "node-2",
        "time": STARTED,
        "data": {"reason": "silent for 2.0 s"},
    }
    (line,) = narrator.event(event)
    assert line.show(parse_rfc3339(STARTED) - 2.5) == "    2.50 s  node-2   suspected: silent for 2.0 s"
    assert narrator.event(event) == []
    assert narrator.event(event | {"id": "18", "subject": "node-1"}) == []
    assert narrator.event(event | {"id": "19", "type": "io.fenced.operation.started"}) == []


def test_a_sleep_is_told_from_its_announcement_to_the_first_heartbeat() -> None:
    narrator = Narrator("node-1")
    told = [
        ("sleep_announced", {"at": "2026-01-31T08:00:05.000Z"}),
        ("sleeping", {"devices": ["bmc"]}),
        ("waking", {"operation": "4-9"}),
        ("woken", {"reason": "heard with the new boot id b2"}),
        ("wake_failed", {"reason": "no heartbeat came"}),
    ]
    lines = [
        narrator.event(
            {"id": str(n), "type": f"io.fenced.host.{kind}", "subject": "node-1", "time": STARTED, "data": d}
        )
        for n, (kind, d) in enumerate(told)
    ]
    assert [line.text for (line,) in lines] == [
        "idle: asked to shut down in 5 s, unless something speaks against it",
        "asleep: bmc reads OFF",
        "woken: its chassis is switched on",
        "awake: heard with the new boot id b2",
        "wake failed: no heartbeat came",
    ]
    asked = operation(name="bmc", steps=[step("soft_off", 0, 40, "done")])
    assert texts(narrator, asked) == ["bmc: ask it to shut down through px-1: done in 40 ms"]


def test_held_says_which_gate_and_why() -> None:
    gates = [{"gate": "armed", "open": True, "why": ""}, {"gate": "witness", "open": False, "why": "wait 0.5 s"}]
    event = {"id": "1", "type": "io.fenced.host.held", "subject": "node-2", "time": STARTED, "data": {"gates": gates}}
    assert Narrator("node-2").event(event)[0].text == "held by witness (wait 0.5 s)"


def test_the_announcement_names_each_device_and_its_proxy() -> None:
    devices = [{"name": "pdu-a", "proxy": "px-1"}, {"name": "pdu-b", "proxy": "engine"}]
    data = {"token": "4-3", "proof": "device_verified", "devices": devices}
    event = {"id": "1", "type": "io.fenced.host.fenced", "subject": "node-2", "time": STARTED, "data": data}
    narrator = Narrator("node-2")
    (line,) = narrator.announcement(event, at=5.0)
    assert line.text == (
        "announced FENCED on the bus: token 4-3, device_verified, pdu-a OFF through px-1, pdu-b OFF through engine"
    )
    assert narrator.announcement(event, at=6.0) == []
