"""Collects what was known of a host when it was decided about: each fact with its age and who said it."""

from collections.abc import Iterator

from fenced.core.allowed import counting, of_host, of_life
from fenced.core.durable.decision import Confirmation, Fact
from fenced.core.heard.evidence import holding
from fenced.core.heard.looks import Look, Saw
from fenced.core.work import HostWork
from fenced.model.answers import RefusedBy
from fenced.model.names import ENGINE
from fenced.model.text import one_line

EVIDENCE_MAX = 8
LOOKS_MAX = 32
TEXT_MAX = 300
"""The longest text of one fact: hosts, people and other programs chose some of the words."""


def of_suspect(work: HostWork) -> tuple[Fact, ...]:
    """Return what was known of a host that is silent, or reported failing."""
    return (
        _heartbeat(work), *_reporters(work), _silence(work), _grace(work), _suspicion(work), *_evidence(work),
        _bus(work), _cluster(work), _attempts(work),
    )  # fmt: skip


def of_recovered(work: HostWork, why: str) -> tuple[Fact, ...]:
    """Return what ended the suspicion, and how long it lasted."""
    state, now = work.state, work.now
    held = ", ".join(verdict.gate for verdict in state.held_by)
    facts = [
        Fact(what="sign of life", value=_text(why), source=_reporter(work)),
        Fact(what="suspected", value=_text(state.suspicion_reason), age=_age(now, state.suspected_at)),
    ]
    if held:
        facts.append(Fact(what="held by", value=held))
    return tuple(facts)


def of_refused(action: str, *, by: str, reason: str, refusal: RefusedBy) -> tuple[Fact, ...]:
    """Return the request and the rule that refused it."""
    return (
        Fact(what="request", value=_text(f"{action}: {reason}" if reason else action), source=_text(by)),
        Fact(what="rule", value=_text(f"{refusal.rule}: {refusal.why}")),
    )


def confirm_of(work: HostWork) -> tuple[Confirmation, ...]:
    """Return what observers saw: the looks of all of them, or the daemon's own answer where it alone was asked."""
    life = work.sight.life
    if life is None:
        return ()
    if life.looks:
        return tuple(_confirmation(look) for look in life.looks[:LOOKS_MAX])
    saw = Saw.ALIVE if life.answered is not None else Saw.SILENT if life.was_asked else Saw.UNKNOWN
    own = Confirmation(
        observer=ENGINE, domain="", network="", target=work.host.address, answer=saw.value, control=False,
        milliseconds=None,
    )  # fmt: skip
    return (own,)


def _confirmation(look: Look) -> Confirmation:
    return Confirmation(
        observer=look.observer.name, domain=look.observer.domain, network=look.network, target=look.target,
        answer=look.saw.value, control=bool(look.control), milliseconds=look.milliseconds,
    )  # fmt: skip


def _heartbeat(work: HostWork) -> Fact:
    sight, state = work.sight, work.state
    if sight.heard_at is None:
        return Fact(what="last heartbeat", value="before this start", age=_age(work.now, state.last_heard))
    value = f"boot {sight.boot or 'not given'}, sequence {sight.sequence}"
    return Fact(what="last heartbeat", value=_text(value), age=_age(work.now, sight.heard_at), source=_reporter(work))


def _reporter(work: HostWork) -> str:
    counters = work.sight.counters
    return _text(counters[-1][0] if counters and counters[-1][0] else "its reporter")


def _silence(work: HostWork) -> Fact:
    fleet, now = work.fleet, work.now
    interval = fleet.interval_seconds(work.name)
    value = f"{fleet.silence_seconds(work.name, now):.1f} s of listening, a heartbeat every {interval:g} s"
    return Fact(what="silence", value=value)


def _grace(work: HostWork) -> Fact:
    """Tell the grace and what makes it longer than the configured one."""
    fleet, sight, now = work.fleet, work.sight, work.now
    parts = []
    if sight.workloads:
        parts.append(f"{sight.workloads} workloads")
    if roles := sorted({*sight.roles, *work.host.roles}):
        parts.append("roles " + " ".join(roles))
    if illness := fleet.own.illness(now):
        parts.append(f"stretched because {illness}")
    made_by = f" ({', '.join(parts)})" if parts else ""
    return Fact(what="grace", value=_text(f"{fleet.grace_seconds(work.name, now):.1f} s{made_by}"))


def _suspicion(work: HostWork) -> Fact:
    state = work.state
    cause = "" if state.suspicion is None else state.suspicion.value
    return Fact(
        what="suspected", value=_text(state.suspicion_reason), age=_age(work.now, state.suspected_at), source=cause
    )


def _evidence(work: HostWork) -> Iterator[Fact]:
    """Yield what other systems say of the host that is still valid."""
    valid = [*holding(work.sight.evidence, work.now)]
    for source, kind, said in valid[:EVIDENCE_MAX]:
        value = f"{kind}, for {said.until - work.now:.0f} s more"
        yield Fact(what="evidence", value=_text(value), age=_age(work.now, said.at), source=_text(source))
    if len(valid) > EVIDENCE_MAX:
        yield Fact(what="evidence", value=f"{len(valid) - EVIDENCE_MAX} more statements")


def _reporters(work: HostWork) -> Iterator[Fact]:
    """Yield when each of several reporters of the host was last heard."""
    for promise in of_life.promises(work.fleet, work.name, work.now):
        late = "" if promise.left >= 0.0 else ", late"
        value = f"a heartbeat every {promise.interval:g} s{late}"
        yield Fact(what="reporter", value=value, age=round(promise.ago, 1), source=_text(promise.name))


def _bus(work: HostWork) -> Fact:
    own, now = work.fleet.own, work.now
    if own.bus_connected_at is None:
        return Fact(what="bus", value="not connected", age=_age(now, own.bus_lost_at))
    is_listening = own.ear.opened_at is not None and now >= own.ear.opened_at
    value = "connected" if is_listening else "connected, not settled"
    return Fact(what="bus", value=value, age=_age(now, own.bus_connected_at))


def _cluster(work: HostWork) -> Fact:
    overdue, monitored = counting.of_cluster(work.fleet, work.host.cluster, work.now)[:2]
    return Fact(what="cluster", value=f"{overdue} of {monitored} hosts overdue")


def _attempts(work: HostWork) -> Fact:
    used = of_host.attempts_in_window(work.fleet, work.name, work.now)
    return Fact(what="attempts", value=f"{used} in the window")


def _age(now: float, at: float | None) -> float | None:
    return None if at is None else round(max(now - at, 0.0), 1)


def _text(text: str) -> str:
    return one_line(text)[:TEXT_MAX]
