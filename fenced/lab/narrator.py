"""Converts events and operations of the API to lines of the demo's story, each only once. Pure; knows no network.

Reads events and operations as interface.md names them, and adds nothing to what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fenced.model.moments import parse_rfc3339

HOST_EVENT: Final = "io.fenced.host."
COMMANDS: Final = ("off", "on", "soft_off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the story. `at`: seconds since the epoch."""

    at: float
    who: str
    text: str

    def show(self, origin: float) -> str:
        return f"{self.at - origin:8.2f} s  {self.who:<8} {self.text}"


class Narrator:
    """Remembers what it has reported of one host."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._reported: set[tuple[object, ...]] = set()
        self._power: dict[str, str] = {}

    def event(self, event: Mapping[str, Any]) -> list[Line]:
        """Return a line for a CloudEvent of the API. Repeats have the same id and give no line."""
        kind, data = str(event.get("type", "")), event.get("data") or {}
        if not kind.startswith(HOST_EVENT) or event.get("subject") != self._host:
            return []
        at = parse_rfc3339(str(event["time"]))
        line = Line(at=at, who=self._host, text=_event_text(kind, data, at))
        return [line] if self._is_new("event", event.get("id")) else []

    def announcement(self, event: Mapping[str, Any], *, at: float) -> list[Line]:
        """Return a line for the CloudEvent `fenced`, received from the bus at that time."""
        if event.get("type") != f"{HOST_EVENT}fenced" or event.get("subject") != self._host:
            return []
        data = event.get("data") or {}
        paths = ", ".join(f"{each.get('name')} OFF through {each.get('proxy')}" for each in data.get("devices", ()))
        text = f"announced FENCED on the bus: token {data.get('token')}, {data.get('proof')}, {paths}"
        return [Line(at=at, who="bus", text=text)] if self._is_new("bus", event.get("id")) else []

    def operation(self, operation: Mapping[str, Any]) -> list[Line]:
        """Return lines for what is new in an operation."""
        started = parse_rfc3339(str(operation["started"]))
        lines: list[Line] = []
        for device in operation.get("devices", ()):
            lines += self._race(device, started)
            for number, step in enumerate(device.get("steps", ())):
                lines += self._step(device["name"], number, step, started)
        return sorted(lines, key=lambda line: line.at)

    def _race(self, device: Mapping[str, Any], started: float) -> list[Line]:
        race: Sequence[Mapping[str, Any]] = device.get("race", ())
        winner = next((entry for entry in race if entry["verdict"] == "won"), None)
        if winner is None or not self._is_new("race", device["name"], winner["proxy"], winner["started_ms"]):
            return []
        text = "proxies raced: " + ", ".join(_candidate(entry) for entry in race)
        return [Line(at=started + (winner["ended_ms"] or 0) / 1000, who=device["name"], text=text)]

    def _step(self, device: str, number: int, step: Mapping[str, Any], started: float) -> list[Line]:
        what, outcome, ended = step["what"], step["outcome"], step["ended_ms"]
        if ended is None or not self._is_new("step", device, number):
            return []
        at = started + ended / 1000
        why = f": {step['error']}" if step.get("error") else ""
        if what in COMMANDS:
            self._power.pop(device, None)
            took = ended - step["started_ms"]
            done = "ask it to shut down" if what == "soft_off" else f"switch {what.upper()}"
            text = f"{done} through {step['proxy']}: {outcome} in {took} ms{why}"
            return [Line(at=at, who=device, text=text)]
        if self._power.get(device) == outcome:
            return []
        self._power[device] = str(outcome)
        return [Line(at=at, who=device, text=f"reads {str(outcome).upper()} (through {step['proxy']}){why}")]

    def _is_new(self, *key: object) -> bool:
        if key in self._reported:
            return False
        self._reported.add(key)
        return True


def _candidate(entry: Mapping[str, Any]) -> str:
    begun, ended = entry["started_ms"], entry["ended_ms"]
    took = "" if begun is None or ended is None else f" after {ended - begun} ms"
    match entry["verdict"]:
        case "won":
            return f"{entry['proxy']} won{took}"
        case "cancelled":
            return f"{entry['proxy']} silent, given up{took}"
        case "timed_out":
            return f"{entry['proxy']} timed out{took}"
        case "not_started":
            return f"{entry['proxy']} not needed"
        case verdict:
            return f"{entry['proxy']} {verdict}{took}"


def _event_text(kind: str, data: Mapping[str, Any], at: float) -> str:
    reason = str(data.get("reason") or "")
    match kind.removeprefix(HOST_EVENT):
        case "suspected":
            return f"suspected: {reason or data.get('cause') or 'silent'}"
        case "held":
            closed = [
                f"{gate.get('gate')} ({gate.get('why')})" for gate in data.get("gates", ()) if not gate.get("open")
            ]
            return "held by " + ", ".join(closed) if closed else "no longer held"
        case "fencing":
            return f"fencing: operation {data.get('operation')} begins"
        case "fenced":
            return "verified off and journalled"
        case "restored":
            return "power is back on everything that was switched off"
        case "healthy":
            return "healthy again: first heartbeat of a new boot"
        case "sleep_announced":
            veto = parse_rfc3339(str(data["at"])) - at
            return f"idle: asked to shut down in {veto:.0f} s, unless something speaks against it"
        case "sleeping":
            return f"asleep: {', '.join(data.get('devices', ()))} reads OFF"
        case "waking":
            return "woken: its chassis is switched on"
        case "woken":
            return f"awake: {reason}"
        case word:
            return word.replace("_", " ") + (f": {reason}" if reason else "")
