"""Records a decision in the batch that takes it, before the records that follow from it.

Call it where the outcome, or the set of closed gates, has changed, and only there: a look that changes nothing is no
decision. A store of an older format takes no such record, and everything else goes on.
"""

from collections.abc import Sequence

from fenced.core.allowed.catalogue import GATES, opens_when
from fenced.core.allowed.verdict import judged, margin_of
from fenced.core.decided import inputs
from fenced.core.decided.planning import planned
from fenced.core.durable import records as r
from fenced.core.durable.decision import Confirmation, Fact, OpenGate, Plan, Ruling, ShutGate
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict, Operation
from fenced.core.heard.own import DECISIONS_FORMAT
from fenced.core.work import HostWork
from fenced.model.answers import RefusedBy
from fenced.model.names import OperationId
from fenced.model.power import Action, State

SUSPECTED = frozenset({State.SUSPECT, State.FAILED})
"""States whose end ends a suspicion."""


def fence(work: HostWork, verdicts: Sequence[GateVerdict], operation: Operation) -> None:
    """Record that the host is fenced: every gate is open."""
    if not _is_recorded(work):
        return
    _record(
        work, Ruling.FENCE, inputs.of_suspect(work), verdicts, confirm=inputs.confirm_of(work),
        plan=planned(work, operation.action), operation=operation.id,
    )  # fmt: skip


def hold(work: HostWork, verdicts: Sequence[GateVerdict], action: Action) -> None:
    """Record that gates hold the host. `action`: what would be done if they were open."""
    if not _is_recorded(work):
        return
    closed = {verdict.gate for verdict in verdicts if not verdict.is_open}
    outcome = Ruling.WOULD_FENCE if closed == {"armed"} else Ruling.HOLD
    _record(
        work, outcome, inputs.of_suspect(work), verdicts, confirm=inputs.confirm_of(work), plan=planned(work, action)
    )  # fmt: skip


def recover(work: HostWork, why: str) -> None:
    """Record that a suspicion is over, because the host gave a sign of life; before the record that says so."""
    if _is_recorded(work) and work.state.state in SUSPECTED:
        _record(work, Ruling.RECOVER, inputs.of_recovered(work, why), ())


def leave_alone(work: HostWork, by: str, reason: str) -> None:
    """Record that a person takes a suspect in hand, before the record that says so."""
    if work.state.state in SUSPECTED:
        hold_by(work, judged("maintenance", False, f"in maintenance by {by}: {reason}"))


def hold_by(work: HostWork, verdict: GateVerdict) -> None:
    """Record that this gate alone holds the host from now on, whatever the others say."""
    if _is_recorded(work):
        _record(work, Ruling.HOLD, inputs.of_suspect(work), (verdict,))


def refuse(work: HostWork, action: str, *, by: str, reason: str, refusal: RefusedBy) -> None:
    """Record that a rule refuses a request, as a gate if the rule is one, and the refusal itself."""
    if _is_recorded(work):
        is_gate = refusal.rule in GATES
        verdicts = (GateVerdict(gate=refusal.rule, is_open=False, why=refusal.why),) if is_gate else ()
        _record(work, Ruling.REFUSE, inputs.of_refused(action, by=by, reason=reason, refusal=refusal), verdicts)
    work.record(r.RequestRefused(action=action, by=by, reason=reason, rule=refusal.rule, why=refusal.why))


def _is_recorded(work: HostWork) -> bool:
    """Return whether the store takes decisions. A host that the inventory no longer has is not decided about."""
    if work.fleet.own.format < DECISIONS_FORMAT:
        return False
    return work.name in work.fleet.hosts


def _record(
    work: HostWork, outcome: Ruling, known: tuple[Fact, ...], verdicts: Sequence[GateVerdict], *,
    confirm: tuple[Confirmation, ...] = (), plan: Plan | None = None, operation: OperationId | None = None,
) -> None:  # fmt: skip
    fleet = work.fleet
    number = fleet.own.decisions + 1
    work.work.own(replace(fleet.own, decisions=number))
    work.record(
        r.Decided(
            id=f"d-{fleet.epoch}-{number}",
            outcome=outcome,
            inputs=known,
            confirm=confirm,
            shut=tuple(shut(verdict) for verdict in verdicts if not verdict.is_open),
            opened=tuple(
                OpenGate(gate=it.gate, why=it.why, margin=margin_of(it)) for it in verdicts if it.is_open
            ),
            policy=fleet.inventory.digest,
            plan=plan,
            operation=operation,
        )
    )  # fmt: skip


def shut(verdict: GateVerdict) -> ShutGate:
    """Return a closed gate as a person is told of it."""
    return ShutGate(
        gate=verdict.gate, why=verdict.why, opens_when=opens_when(verdict.gate), margin=margin_of(verdict)
    )  # fmt: skip
