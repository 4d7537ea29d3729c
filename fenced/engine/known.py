"""Says for `explain` what is known of a host, beside its gates: heartbeats, evidence, devices."""

from collections.abc import Mapping, Sequence
from typing import Any

from fenced.core.allowed import of_host, of_life
from fenced.core.explaining import confirmed
from fenced.core.fleet import Fleet
from fenced.core.heard.reporters import Promise
from fenced.core.idle import told
from fenced.core.suspected import evidence
from fenced.model.moments import moment
from fenced.model.power import State
from fenced.ports.control import HostView


def known_of(
    fleet: Fleet, view: HostView, now: float, *, warning: str | None, misnamed: Sequence[str]
) -> Mapping[str, Any]:
    """`warning`: what is odd about its heartbeats; `misnamed`: names that nearly match the host's. Both are left out if
    there is nothing to say, as is evidence."""
    state, name = view.state, view.state.name
    sight, host = fleet.sights[name], fleet.host(name)
    said, reporters = evidence.lines(fleet, name, now), of_life.promises(fleet, name, now)
    return {
        "last_heard": moment(view.last_heard),
        "heard_in_this_life": sight.heard_at is not None,
        "boot": state.boot,
        "sequence": sight.sequence,
        "interval_seconds": fleet.interval_seconds(name),
        "silence_seconds": round(fleet.silence_seconds(name, now), 3),
        "grace_seconds": round(fleet.grace_seconds(name, now), 3),
        "listening": fleet.own.ear.opened_at is not None and now >= fleet.own.ear.opened_at,
        "workloads": sight.workloads,
        "roles": sorted({*sight.roles, *host.roles}),
        "suspicion": state.suspicion.value if state.suspicion is not None else None,
        "suspicion_reason": state.suspicion_reason or None,
        **({"warning": warning} if warning is not None else {}),
        **({"misnamed": list(misnamed)} if misnamed else {}),
        **({"reporters": [_reporter(it) for it in reporters]} if reporters else {}),
        **({"evidence": list(said)} if said else {}),
        **({"stays_on_because": list(bars)} if (bars := _stays_on(fleet, view, now)) else {}),
        "asked_itself": None if sight.life is None else sight.life.words,
        "confirm": confirmed(fleet, name, now),
        "attempts_in_window": of_host.attempts_in_window(fleet, name, now),
        "owed": [str(device) for device in state.owed],
        "orphans": [f"{orphan.device} ({orphan.plug_id or 'plug not known'})" for orphan in state.orphans],
        "distrusted": [str(device) for device in state.distrusted],
        "wrong_machines": [str(device) for device in state.wrong_machines],
    }


def _stays_on(fleet: Fleet, view: HostView, now: float) -> list[str]:
    """Return what keeps a healthy host from being put to sleep, if its cluster saves power."""
    state = view.state
    if state.state is not State.HEALTHY or not fleet.host(state.name).settings.saving.is_enabled:
        return []
    return [f"{bar.rule}: {bar.why}" for bar in told.why_awake(fleet, state.name, now)]


def _reporter(promise: Promise) -> str:
    late = "" if promise.left >= 0.0 else ", late"
    return f"{promise.name}: heard {promise.ago:.0f} s ago, every {promise.interval:g} s{late}"
