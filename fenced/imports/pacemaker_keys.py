"""Translate Pacemaker's cluster properties and `pcmk_*` parameters into keys of the inventory.

Both spellings of the properties count (`stonith-*` and `fencing-*`). A parameter without a counterpart is reported.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fenced.config.durations import format_duration
from fenced.imports.cib import Stonith
from fenced.imports.shape import Losses, Value
from fenced.model.booleans import said

SECONDS_MAX: Final = 3600
ATTEMPTS_MAX: Final = 100
SESSIONS_MAX: Final = 1000
_TIME: Final = re.compile(r"(\d+)\s*(ms|msec|us|usec|s|sec|m|min|h|hr)?", re.ASCII)
_UNITS: Final = {
    "ms": 0.001, "msec": 0.001, "us": 1e-6, "usec": 1e-6, "s": 1, "sec": 1, "": 1, "m": 60, "min": 60, "h": 3600,
    "hr": 3600,
}  # fmt: skip
_RENAMED: Final = {
    "stonith-enabled": "fencing-enabled", "stonith-timeout": "fencing-timeout", "stonith-action": "fencing-action",
    "stonith-max-attempts": "fencing-max-attempts", "stonith-watchdog-timeout": "fencing-watchdog-timeout",
    "fence-reaction": "fencing-reaction",
}  # fmt: skip
_OF_FENCING: Final = {
    "fencing-max-attempts": ("how often a fence is tried", "fenced retries with a back-off; see [gates.attempts]"),
    "priority-fencing-delay": ("a delay for the more important node", "fenced has one decider, so no race to win"),
    "startup-fencing": ("what happens to nodes never seen", "fenced fences no host that it has not heard"),
    "concurrent-fencing": ("whether fences run side by side", "see [gates] concurrency"),
    "fencing-reaction": ("what a node does that learns of its own fencing", "fenced cuts power, so none learns of it"),
    "node-pending-timeout": ("fencing of nodes that join halfway", "fenced decides by heartbeats; see [detection]"),
    "have-watchdog": ("that a watchdog is there", ""),
}
_HARMLESS: Final = {"startup-fencing", "concurrent-fencing", "fencing-reaction", "have-watchdog"}
_ACTIONS: Final = {"reboot": "restart", "off": "off", "poweroff": "off"}
_ACTION_PARAMETER: Final = re.compile(r"pcmk_(\w+?)_(timeout|retries|action)")


def seconds(text: str) -> float | None:
    """Return Pacemaker's time in seconds, None if it is none. A number alone is in seconds."""
    found = _TIME.fullmatch(text.strip().lower())
    return None if found is None else int(found[1]) * _UNITS[found[2] or ""]


def cluster_keys(properties: Mapping[str, str], losses: Losses) -> dict[str, Value]:
    """Return the keys of the cluster, and report every other property that concerns fencing."""
    keys: dict[str, Value] = {}
    given: dict[str, str] = {}
    for name, value in properties.items():
        new = _RENAMED.get(name, name)
        if new in given and given[new] != value:
            losses.lost(f"property {name}", f"{name} and {new} differ: the first counts", "keep only one", is_loud=True)
        given.setdefault(new, value)
        _property(name, new, given[new], keys, losses)
    return keys


def _property(name: str, new: str, value: str, keys: dict[str, Value], losses: Losses) -> None:
    where = f"property {name}"
    if new == "fencing-enabled":
        if said(value) is False or value.lower() == "n":
            keys["automatic"] = False
            losses.lost(
                where,
                "FENCING IS DISABLED in the source: no host will be fenced automatically (automatic = false)",
                "remove `automatic = false` once its devices are proven",
                is_loud=True,
            )
    elif new == "fencing-action":
        if value in _ACTIONS:
            keys["fence_action"] = _ACTIONS[value]
        else:
            losses.lost(where, f"{value!r} is no action of fenced", "set fence_action to restart or off")
    elif new == "fencing-timeout":
        _time(where, "attempt_timeout", value, keys, losses)
    elif new == "fencing-watchdog-timeout":
        if (seconds(value) or 0) > 0 or value.startswith("-"):
            losses.lost(
                where,
                f"{value}: self-fencing by a watchdog (SBD) is not a power device",
                "give each host a power device",
                is_loud=True,
            )
    elif new == "no-quorum-policy" and value in {"suicide", "fence", "demote"}:
        losses.lost(where, f"{value}: fenced has no quorum among its hosts", "see [gates] for what holds a fence")
    elif new in _OF_FENCING:
        what, advice = _OF_FENCING[new]
        (losses.note if new in _HARMLESS else losses.lost)(where, f"{value}: {what}: left out", advice)
    elif re.search(r"fenc|stonith", name):
        losses.lost(where, f"{value}: unknown to fenced: left out", "check what it does")


def device_keys(device: Stonith, *, is_shared: bool, losses: Losses) -> dict[str, Value]:
    """Return the keys that its `pcmk_*` parameters become. `is_shared`: it serves several hosts."""
    keys: dict[str, Value] = {}
    given = device.parameters
    timeouts = [name for name in ("off", "reboot") if f"pcmk_{name}_timeout" in given][:1]
    timeouts += ["on"] if "pcmk_on_timeout" in given else []
    longest = max(timeouts, key=lambda name: seconds(given[f"pcmk_{name}_timeout"]) or 0.0, default="")
    if longest:
        name = f"pcmk_{longest}_timeout"
        _time(f"{device.where}, {name}", "attempt_timeout", given[name], keys, losses)
    retries = next((name for name in ("pcmk_off_retries", "pcmk_reboot_retries") if name in given), "")
    if retries:
        _count(f"{device.where}, {retries}", "attempts", given[retries], ATTEMPTS_MAX, keys, losses)
    used = {f"pcmk_{name}_timeout" for name in timeouts} | {retries}
    for name, value in given.items():
        if name.startswith("pcmk_") and name not in used:
            _other(device, name, value, losses)
    limit = given.get("pcmk_action_limit", "1" if is_shared else "")
    if limit == "-1":
        losses.note(f"{device.where}, pcmk_action_limit", "unlimited: fenced's own limit holds (sessions)")
    elif limit:
        _count(f"{device.where}, pcmk_action_limit", "sessions", limit, SESSIONS_MAX, keys, losses)
    return keys


def _other(device: Stonith, name: str, value: str, losses: Losses) -> None:
    where = f"{device.where}, {name}"
    found = _ACTION_PARAMETER.fullmatch(name)
    if name in {"pcmk_host_map", "pcmk_host_list", "pcmk_host_check", "pcmk_host_argument", "pcmk_action_limit"}:
        return
    if name in {"pcmk_delay_base", "pcmk_delay_max"}:
        losses.lost(
            where,
            f"{value}: fenced has no delay before OFF, its gates decide when",
            "nothing to do if it only kept two nodes from fencing each other",
        )
    elif found is not None and found[2] == "action":
        if not (found[1] == value or (found[1], value) == ("reboot", "off")):
            losses.lost(where, f"{value}: fenced runs the agent's own off, on and status", "check that they work")
    elif found is not None:
        losses.note(where, f"{value}: left out; attempt_timeout and attempts hold for every call, and OFF sets them")
    else:
        losses.lost(where, f"{value}: unknown to fenced: left out", "check what it does")


def host_action(devices: Sequence[Stonith]) -> str:
    """Return "off" if no device of the host would switch it on again, else ""."""
    is_off = [device.parameters.get("pcmk_reboot_action") == "off" for device in devices]
    return "off" if is_off and all(is_off) else ""


def _time(where: str, key: str, value: str, keys: dict[str, Value], losses: Losses) -> None:
    found = seconds(value)
    if found is None or found < 0.001:
        losses.lost(where, f"{value!r} is no time: left out", f"set {key} by hand")
        return
    if found > SECONDS_MAX:
        losses.lost(where, f"{value}: more than fenced allows; {key} is 1h", "check whether that suffices")
    keys[key] = format_duration(min(found, SECONDS_MAX))


def _count(where: str, key: str, value: str, most: int, keys: dict[str, Value], losses: Losses) -> None:
    if not (value.isascii() and value.isdigit() and int(value) >= 1):
        losses.lost(where, f"{value!r} is no count: left out", f"set {key} by hand")
        return
    if int(value) > most:
        losses.lost(where, f"{value}: more than fenced allows; {key} is {most}")
    keys[key] = min(int(value), most)
