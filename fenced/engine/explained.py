"""What `explain` shows of the plan for a host: each device, and the proxies that could reach it now."""

from collections.abc import Mapping
from typing import Any

from fenced.core.fleet import Fleet
from fenced.core.reach.candidates import expand
from fenced.model.inventory import Host


def plan_of(fleet: Fleet, host: Host) -> list[Mapping[str, Any]]:
    """Return one line a device, in the order of the file."""
    plan: list[Mapping[str, Any]] = []
    for device in host.devices:
        candidates = expand(device, host, fleet.inventory, fleet.why_candidate_barred)
        plan.append(
            {
                "device": str(device.name),
                "level": device.level,
                "kind": device.kind.value,
                "driver": device.spec.driver,
                "tiers": [[str(proxy) for proxy in tier] for tier in candidates.tiers],
                "excluded": [{"proxy": left.proxy, "why": left.why} for left in candidates.excluded],
            }
        )
    return plan
