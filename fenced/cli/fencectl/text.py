"""The tables and pages of `fencectl`: hosts, one host, its explanation, operations, pauses, events.

Pure: the API's JSON in, lines out; knows no HTTP. Every line is readable without colour.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fenced.cli.fencectl.tables import table as table
from fenced.model.text import some

Json = Mapping[str, Any]
FACTS_MAX_CHARACTERS: Final = 160
LOOKED_AT_SHOWN: Final = 2


def hosts(items: Sequence[Json]) -> list[str]:
    """Return one line per host."""
    if not items:
        return ["no host"]
    rows = [
        (
            host["name"],
            host["cluster"],
            host["state"],
            power(host["power"]),
            fenceable(host),
            since(host["since"]),
            remarks(host),
        )
        for host in items
    ]
    return table(("HOST", "CLUSTER", "STATE", "POWER", "FENCEABLE", "SINCE", "REMARKS"), rows)


def fenceable(host: Json) -> str:
    """Return one word; `-` if paths are not checked."""
    return host["fenceable"]["level"] if host["fenceable"] else "-"


def fenceable_lines(host: Json) -> Iterator[str]:
    """Yield the level, and what is missing for the next, device by device."""
    found = host["fenceable"]
    if not found:
        return
    yield f"  fenceable {found['level']} since {since(found['since'])}"
    for reason in found["why"]:
        yield f"    {reason['device'] or host['name']}: {reason['reason'].replace('_', ' ')}: {reason['text']}"


def power(devices: Mapping[str, str]) -> str:
    """Return one word if all devices agree."""
    words = set(devices.values())
    if not words:
        return "-"
    if len(words) == 1:
        return words.pop()
    return ",".join(f"{name}={value}" for name, value in devices.items())


def since(stamp: str | None) -> str:
    """Return a time to the second: `2027-01-15 08:00:00Z`."""
    return "-" if stamp is None else f"{stamp[:10]} {stamp[11:19]}Z"


def remarks(host: Json) -> str:
    """Return what the operator must not overlook."""
    said = []
    if host["held_by"]:
        said.append(f"held by {', '.join(host['held_by'])}")
    if host["maintenance"]:
        said.append("in maintenance")
    if host["paused"]:
        said.append("paused")
    if host["stay_off"]:
        said.append("stays off until `on`")
    if host.get("misnamed"):
        said.append(f"beats arrive as {', '.join(host['misnamed'])}")
    return "; ".join(said)


def host_page(host: Json, explained: Json) -> Iterator[str]:
    """Yield one host with all its devices, and the gates that hold it."""
    yield f"{host['name']}: {host['state']} since {since(host['since'])}"
    yield f"  cluster {host['cluster'] or 'none'}, data centre {host['datacenter'] or 'none'}"
    yield f"  last heard {since(host['last_heard']) if host['last_heard'] else 'never'}"
    yield f"  operation {host['operation'] or 'none'}"
    if host["maintenance"]:
        upkeep = host["maintenance"]
        until = f" until {since(upkeep['until'])}" if upkeep["until"] else ""
        yield f"  maintenance{until}, by {upkeep['by']}: {upkeep['reason']}"
    if host["paused"]:
        yield "  automatic fencing is paused"
    if host["stay_off"]:
        yield "  stays off until `on`"
    for key in ("reporters", "evidence"):
        for line in explained["known"].get(key, ()):
            yield f"  {key.removesuffix('s')} {line}"
    yield from fenceable_lines(host)
    yield from _drill_lines(host)
    reasons = {gate["gate"]: gate["why"] for gate in explained["gates"]}
    for gate in host["held_by"]:
        yield f"  held by {gate}: {reasons.get(gate, '')}"
    yield ""
    yield from device_table(host, explained["devices"])


def _drill_lines(host: Json) -> Iterator[str]:
    """Yield when a host for drills was last drilled, and how that ended."""
    last = host.get("last_drill")
    if last is None:
        if host.get("drill"):
            yield "  drill: never"
        return
    result = last["result"] or "under way"
    step = f" at step {last['step']}: {last['why']}" if last["step"] else ""
    yield f"  drill of {since(last['started'])} {result}{step}"
    if host["drilled"] and result != "succeeded":
        yield f"  last successful drill {since(host['drilled'])}"


def device_table(host: Json, configured: Sequence[Json]) -> list[str]:
    """Return the host's devices with their last known power."""
    rows = [
        (
            device["name"],
            str(device["level"]),
            device["kind"],
            host["power"].get(device["name"], "unknown"),
            device["driver"],
            " > ".join(device["proxies"]),
        )
        for device in configured
    ]
    return table(("DEVICE", "LEVEL", "KIND", "POWER", "DRIVER", "PROXIES"), rows)


def explanation(explained: Json) -> Iterator[str]:
    """Yield each gate with its reason, what is known, the plan, and the newest records."""
    rows = [
        (gate["gate"], "open" if gate["open"] else "CLOSED", gate.get("margin") or "", gate["why"])
        for gate in explained["gates"]
    ]
    yield from table(("GATE", "NOW", "MARGIN", "WHY"), rows)
    if explained["known"]:
        yield ""
        yield "known:"
        for key, value in explained["known"].items():
            yield f"  {key}: {fact(value)}"
    if explained["plan"]:
        yield ""
        yield "plan:"
        for line in explained["plan"]:
            yield f"  {facts(line)}"
    if explained["records"]:
        yield ""
        yield "newest records first:"
        for record in explained["records"]:
            yield f"  {record['at']}  {record['kind']}  {clip(facts(record['facts']))}"


def facts(given: Mapping[str, Any]) -> str:
    """Return `key=value` words, without empty values."""
    return "  ".join(f"{key}={fact(value)}" for key, value in given.items() if value not in (None, [], {}, ""))


def fact(value: Any) -> str:
    """Return a value without JSON's punctuation."""
    if isinstance(value, Mapping):
        return "{" + facts(value) + "}"
    if isinstance(value, list):
        return ", ".join(fact(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def clip(text: str) -> str:
    return text if len(text) <= FACTS_MAX_CHARACTERS else text[: FACTS_MAX_CHARACTERS - 3] + "..."


def operations(items: Sequence[Json]) -> list[str]:
    """One line per operation, newest first."""
    if not items:
        return ["no operation"]
    rows = [
        (
            item["id"],
            item["host"],
            item["action"],
            item["state"],
            "yes" if item["result"]["fenced"] else "no",
            item["result"]["power"],
            since(item["started"]),
            item["by"],
            item["reason"],
        )
        for item in items
    ]
    return table(("ID", "HOST", "ACTION", "STATE", "FENCED", "POWER", "STARTED", "BY", "REASON"), rows)


def proxies(items: Sequence[Json]) -> list[str]:
    """One line per proxy; last what is wrong with it."""
    if not items:
        return ["no proxy"]
    words = {True: "yes", False: "no", None: "not asked yet"}
    rows = [
        (
            item["name"],
            item["url"],
            words[item["up"]],
            item["version"] or "-",
            f"{item['in_flight']}/{item['capacity']}",
            looked_at(item.get("looks_at", [])),
            since(item["answered"]),
            item["barred"] or item["error"] or item.get("reload_refused") or "",
        )
        for item in items
    ]
    return table(("PROXY", "URL", "UP", "VERSION", "BUSY", "LOOKS AT", "ANSWERED", "REMARKS"), rows)


def looked_at(networks: Sequence[str]) -> str:
    """The networks at which a proxy looks for the daemon; a daemon of an earlier version says nothing of them."""
    return some(networks, LOOKED_AT_SHOWN) or "-"


def pauses(items: Sequence[Json]) -> list[str]:
    """One line per pause."""
    if not items:
        return ["no pause"]
    rows = [
        (item["id"], item["match"], since(item["until"]) if item["until"] else "resumed", item["by"], item["reason"])
        for item in items
    ]
    return table(("ID", "MATCH", "UNTIL", "BY", "REASON"), rows)


def storms(items: Sequence[Json]) -> list[str]:
    """One line per storm: those that last, then the last ones of other domains."""
    if not items:
        return ["no storm"]
    rows = [
        (
            f"{item['domain']}={item['value']}",
            since(item["since"]),
            str(len(item["hosts"])),
            str(len(item["silent"])),
            _ended(item["end"]),
            ", ".join(item["common"]) or "-",
        )
        for item in items
    ]
    return table(("DOMAIN", "SINCE", "HOSTS", "SILENT", "STATE", "IN COMMON"), rows)


def _ended(end: Json | None) -> str:
    if end is None:
        return "lasts: its hosts are held"
    return f"released by {end['by']}: {end['reason']}" if end["why"] == "released" else f"over: {end['reason']}"


def status(operation: Json) -> Iterator[str]:
    """Power per device, with why it could not be read."""
    yield f"{operation['host']}: {operation['result']['power']}"
    width = max((len(device["name"]) for device in operation["devices"]), default=0)
    for device in operation["devices"]:
        errors = [part["error"] for part in (*device["race"], *device["steps"]) if part["error"]]
        said = [f"{entry['power']} through {entry['proxy']}" for entry in device["race"] if entry.get("power")]
        told = errors[-1:] if len({entry.partition(" ")[0] for entry in said}) < 2 else ["; ".join(said)]
        why = f"  {told[0]}" if told and device["power"] == "unknown" else ""
        yield f"  {device['name'].ljust(width)}  {device['power']}{why}"


def probe(operation: Json) -> list[str]:
    """Return every path that was tried, with its answer."""
    rows = []
    for device in operation["devices"]:
        for entry in device["race"]:
            took = "-"
            if entry["started_ms"] is not None and entry["ended_ms"] is not None:
                took = f"{entry['ended_ms'] - entry['started_ms']} ms"
            verdict = entry["verdict"].replace("_", " ")
            power = entry.get("power") or ""
            rows.append(
                (device["name"], entry["proxy"], str(entry["tier"]), verdict, took, power, entry["error"] or "")
            )
        rows += [(device["name"], left["proxy"], "-", "left out", "-", "", left["why"]) for left in device["excluded"]]
    return table(("DEVICE", "PROXY", "TIER", "VERDICT", "TOOK", "POWER", "WHY"), rows)


def event(given: Json) -> str:
    """Return one line of `watch`."""
    kind = str(given.get("type", "")).removeprefix("io.fenced.")
    data = given.get("data")
    told = facts({key: value for key, value in data.items() if key != "host"}) if isinstance(data, Mapping) else ""
    return f"{given.get('time', '')}  {given.get('subject', '-')}  {kind}  {clip(told)}".rstrip()


def problem(given: Json) -> Iterator[str]:
    """Yield a refusal and all its faults."""
    rule = f" ({given['rule']})" if given.get("rule") else ""
    yield f"refused{rule}: {given.get('detail') or given.get('title')}"
    for fault in given.get("errors") or []:
        yield f"  {fault.get('path') or 'body'}: {fault.get('reason')}"
