"""Starts the daemon's own operations: fence a suspect; give back what a host that is heard is owed."""

from fenced.core.allowed import limits, observing, of_host
from fenced.core.allowed.verdict import plain
from fenced.core.believed import trust
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict, Slot
from fenced.core.heard.evidence import holding
from fenced.core.operation import starting
from fenced.core.operation.advancing import advance
from fenced.core.operation.phases import enter_restore
from fenced.core.work import HostWork
from fenced.model.power import Action, Cause


def automatic_action(work: HostWork) -> Action:
    """Return the action of an automatic fence: the configured one, or OFF for the last attempt of the window."""
    used = of_host.attempts_in_window(work.fleet, work.name, work.now)
    is_last = used + 1 >= work.fleet.inventory.daemon.gates.attempts_count
    return Action.OFF if is_last else work.host.settings.fence_action


def fence(work: HostWork, verdicts: tuple[GateVerdict, ...]) -> None:
    """Start the operation now that all gates are open, and charge the budget."""
    cause, action = work.state.suspicion or Cause.SILENCE, automatic_action(work)
    operation = starting.new(work, action, cause=cause, by="fenced", reason=work.state.suspicion_reason)
    operation = replace(operation, gates=plain(verdicts), explanation=_known(work))
    recording.fence(work, verdicts, operation)
    if trust.has_believed_level(work):  # otherwise it fails without an OFF, and costs no budget
        room = limits.budget_room(work.fleet, work.name, work.now)
        work.work.draw(r.BudgetDrawn(host=work.name, cluster=str(work.host.cluster)), room)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    advance(work)


def _known(work: HostWork) -> tuple[str, ...]:
    """Describe what was known, from which source and how old, for the operation's explanation."""
    sight, fleet, now = work.sight, work.fleet, work.now
    heard = "never since the daemon started" if sight.heard_at is None else f"{now - sight.heard_at:.1f} s ago"
    life = sight.life
    asked = "not yet" if life is None else f"{life.words}, {now - life.at:.1f} s ago"
    silence, illness = fleet.silence_seconds(work.name, now), fleet.own.illness(now)
    stretched = f", stretched because {illness}" if illness else ""
    return (
        f"last heartbeat: {heard}, boot {sight.boot or 'not given'}, sequence {sight.sequence}",
        f"silence: {silence:.1f} s of listening, grace {fleet.grace_seconds(work.name, now):.1f} s{stretched}",
        f"suspected because: {work.state.suspicion_reason}",
        f"asked itself: {asked}",
        *filter(None, (observing.looked_words(fleet, work.name, now),)),
        *(
            f"evidence: {source} says {kind}, {now - said.at:.1f} s ago"
            for source, kind, said in holding(sight.evidence, now)
        ),
    )


def give_back(work: HostWork) -> None:
    """Switch on what a host that is heard is owed."""
    reason = "heard, and devices that the daemon switched off are still off"
    operation = starting.new(work, Action.ON, cause=Cause.SILENCE, by="fenced", reason=reason)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    enter_restore(work, operation)
    advance(work)
