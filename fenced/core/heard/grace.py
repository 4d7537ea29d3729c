"""The silence of a host that is tolerated, without and with what the daemon's own illness adds."""

from fenced.core.heard.sight import Sight
from fenced.model.inventory import Host


def plain_seconds(host: Host, sight: Sight, *, interval: float) -> float:
    """Return the grace of a daemon that is well: what the host's load and roles make of it, and missed intervals."""
    detection = host.settings.detection
    roles = set(sight.roles) | set(host.roles)
    grace = detection.grace_seconds + detection.grace_per_workload_seconds * (sight.workloads or 0)
    grace += sum(seconds for role, seconds in detection.grace_per_role_seconds if role in roles)
    grace = min(grace, max(detection.grace_max_seconds, detection.grace_seconds))
    return max(grace, detection.missed_heartbeats * interval)


def stretched_by(host: Host, plain: float, stretch: float) -> float:
    """Return how much of a stretch counts: no grace becomes longer than `grace_max` by it, and none shorter."""
    return max(min(stretch, host.settings.detection.grace_max_seconds - plain), 0.0)
