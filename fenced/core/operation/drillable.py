"""Decides whether a host may be drilled: when the drill is requested, and again before its first OFF.

The paths to the devices may be sought for minutes in between, and the host may get work or fall silent meanwhile. A
host that was silent before the OFF can't show that these devices feed it.
"""

from collections.abc import Iterator

from fenced.core.allowed import gates, of_life
from fenced.core.durable.state import Operation
from fenced.core.work import HostWork
from fenced.model.answers import RefusedBy


def why_not(work: HostWork, operation: Operation) -> str | None:
    """Return why a drill must not send its first OFF now; None: it may."""
    refusals = (*unfit(work, since=operation.started), *unready(work, is_forced=operation.is_forced))
    return "; ".join(f"{refusal.rule}: {refusal.why}" for refusal in refusals) or None


def unfit(work: HostWork, *, since: float) -> Iterator[RefusedBy]:
    """Yield what holds a drill of this host, whoever requests it. `since`: older trouble of other hosts does not
    count."""
    if not work.host.is_drill:
        why = f"{work.name} is no host for drills; write `drill = true` into its [[host]] table, and reload"
        yield RefusedBy(rule="drill", why=why)
    if work.host.is_beside_broker:
        yield RefusedBy(rule="broker", why=f"the MQTT broker runs on {work.name}; choose another host")
    for verdict in gates.closed(gates.drill_gates(work.fleet, work.name, work.now, since=since)):
        yield RefusedBy(rule=verdict.gate, why=verdict.why)


def unready(work: HostWork, *, is_forced: bool) -> Iterator[RefusedBy]:
    """Yield why the host does not beat as a living one, or is in use. Force overrides live evidence alone."""
    fleet, name, sight = work.fleet, work.name, work.sight
    if sight.heard_at is None or fleet.is_overdue(name, work.now):
        yield RefusedBy(rule="not_heard", why=f"{name} is not heard right now; a drill needs a host that beats")
    if fleet.is_speaking(name, work.now):
        yield RefusedBy(rule="not_heard", why=f"{name} also sends stale beats")
    if work.state.boot is None or sight.boot is None:
        why = f"the heartbeats of {name} have no boot id, so nothing would show that it restarted"
        yield RefusedBy(rule="no_boot", why=why)
    if sight.workloads:
        yield RefusedBy(rule="in_use", why=f"{name} reports {sight.workloads} workloads; move them away first")
    evidence = of_life.live_evidence(fleet, name, work.now)
    if not evidence.is_open and not is_forced:
        why = f"{evidence.why}: it may be in use, and a fence would be held; use force to drill it all the same"
        yield RefusedBy(rule=evidence.gate, why=why)
