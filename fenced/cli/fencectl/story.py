"""Describes what happened between two polls of an operation, one line per change, and how it ended, in one sentence.

Pure: the API's JSON in, text out; knows no terminal and no HTTP. The sentence always says whether the host is fenced.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fenced.cli.waterfall import restored
from fenced.model.bars import duration_ms, short

Json = Mapping[str, Any]


def changes(before: Json | None, after: Json) -> list[str]:
    """Return what happened between two polls of an operation, one line each, with the seconds since its start."""
    lines: list[tuple[int, str]] = []
    older = {device["name"]: device for device in before["devices"]} if before else {}
    for device in after["devices"]:
        lines += _device_changes(older.get(device["name"]), device)
    said = [f"{moment / 1000:8.2f} s  {text}" for moment, text in sorted(lines, key=lambda line: line[0])]
    for name in after["joined"][len(before["joined"]) if before else 0 :]:
        said.append(f"{'':10}  {name} joined")
    if after["result"]["fenced"] and not (before and before["result"]["fenced"]):
        said.append(f"{'':10}  {after['host']} is fenced")
    return said


def _device_changes(before: Json | None, after: Json) -> Iterator[tuple[int, str]]:
    name = after["name"]
    known = [] if before is None else list(before["race"])
    for entry in after["race"]:
        if entry not in known and entry["ended_ms"] is not None:
            error = f": {entry['error']}" if entry["error"] else ""
            yield entry["ended_ms"], f"{name}: race, {entry['proxy']} {entry['verdict'].replace('_', ' ')}{error}"
    told = set() if before is None else {_step_key(step) for step in before["steps"]}
    for step in after["steps"]:
        key = _step_key(step)
        if key in told:
            continue
        is_command = step["what"] != "status"
        if is_command and (*key[:3], None) not in told:
            yield step["started_ms"], f"{name}: {step['what']} via {step['proxy']}"
        if step["ended_ms"] is not None:
            error = f": {step['error']}" if step["error"] else ""
            outcome = (step["outcome"] or "ended").replace("_", " ")
            yield step["ended_ms"], f"{name}: {step['what']} via {step['proxy']}: {outcome}{error}"


def _step_key(step: Json) -> tuple[str, str, int, int | None]:
    return step["what"], step["proxy"], step["started_ms"], step["ended_ms"]


def sentence(operation: Json) -> str:
    """Return how it ended and whether the host is fenced."""
    host, action, result = operation["host"], operation["action"], operation["result"]
    if action in ("status", "probe"):
        return (
            f"{host}: {result['power']}" if operation["state"] == "done" else f"{host}: {action} {operation['state']}"
        )
    if action in ("sleep", "wake") and not result["fenced"]:
        return _of_saving(operation)
    fenced = f"{host} {'is' if result['fenced'] else 'is NOT'} fenced"
    if operation["state"] == "done":
        return _done(operation, fenced)
    lost = "; ".join(_unproven(operation))
    told = f" ({lost})" if lost else ""
    is_about_restore = action == "on" or (result["fenced"] and action == "restart")
    back = f", restored: {restored(result)}" if is_about_restore else ""
    return f"{action} {operation['state']}: {fenced}; power reads {result['power']}{back}{told}"


def _of_saving(operation: Json) -> str:
    """Say how a host was put to sleep or woken. Its power was not cut, so it is not fenced."""
    host, action, power = operation["host"], operation["action"], operation["result"]["power"]
    elapsed = duration_ms(operation)
    took = "" if elapsed is None else f" after {short(elapsed)}"
    if operation["state"] == "done":
        return f"{host} sleeps{took}" if action == "sleep" else f"{host} reads {power}{took}"
    why = f": {operation['error']}" if operation["error"] else ""
    what = "does not sleep" if action == "sleep" else "was not woken"
    return f"{action} {operation['state']}: {host} {what}; power reads {power}{why}"


def _done(operation: Json, fenced: str) -> str:
    host, action, result = operation["host"], operation["action"], operation["result"]
    elapsed = duration_ms(operation)
    took = "" if elapsed is None else f" after {short(elapsed)}"
    if action == "off":
        return f"{fenced}{took}: off, {_proof(result)}"
    lost = "" if result["restored"] in ("all", "not_asked") else f"; restored: {restored(result)}, redundancy lost"
    if action == "restart":
        was = f"{host} was fenced ({_proof(result)}) and" if result["fenced"] else host
        return f"{was} reads {result['power']} again{took}{lost}"
    return f"{host} reads {result['power']}{took}{lost}"


def _proof(result: Json) -> str:
    if result["proof"] == "human":
        return "confirmed by an operator"
    return f"read back on every device of level {result['level']}"


def _unproven(operation: Json) -> Iterator[str]:
    """Yield the devices that are not in the requested state, each with its last error."""
    wanted = "on" if operation["action"] == "on" or operation["result"]["fenced"] else "off"
    for device in operation["devices"]:
        if device["power"] == wanted:
            continue
        errors = [part["error"] for part in (*device["race"], *device["steps"]) if part["error"]]
        yield f"{device['name']} {device['power']}" + (f": {errors[-1]}" if errors else "")
