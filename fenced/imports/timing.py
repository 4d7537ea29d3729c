"""Give a host an operation_timeout that its devices' own timeouts fit into, where the default is too short."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fenced.config.durations import format_duration, parse_duration
from fenced.imports.shape import Host, Losses, Value
from fenced.model.settings import PowerSettings

_PROBE_SECONDS: Final = 5.0
_DAY_SECONDS: Final = 86400.0
_ROUND_TO_SECONDS: Final = 60.0


def with_operation_timeout(host: Host, of_cluster: Mapping[str, Value], losses: Losses) -> Host:
    """Return the host, with a longer operation_timeout if one pass over all its levels may need it."""
    power = PowerSettings()
    worst: dict[int, float] = {}
    for device in host.devices:
        attempt = device.keys.get("attempt_timeout", of_cluster.get("attempt_timeout"))
        seconds = parse_duration(str(attempt)) if attempt else power.attempt_timeout_seconds
        each = _PROBE_SECONDS + seconds + power.verify_timeout_seconds
        worst[device.level] = max(worst.get(device.level, 0.0), each)
    needed = sum(worst.values())
    if needed <= power.operation_timeout_seconds:
        return host
    rounded = min(math.ceil(needed / _ROUND_TO_SECONDS) * _ROUND_TO_SECONDS, _DAY_SECONDS)
    losses.note(host.where, f"operation_timeout of {host.name} is {format_duration(rounded)}, so that its timeouts fit")
    return replace(host, keys={**host.keys, "operation_timeout": format_duration(rounded)})
