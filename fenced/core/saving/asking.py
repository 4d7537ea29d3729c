"""Handles requests of people and programs: put this host to sleep, wake some hosts of a cluster (S24)."""

from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.events import ActionAsked, WakeAsked
from fenced.core.idle import fit
from fenced.core.saving import policy
from fenced.core.work import HostWork, Work
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.names import ClusterName, OperationId
from fenced.model.power import Action, Cause


def sleep(work: HostWork, asked: ActionAsked) -> Answer:
    """Start an operation that puts the host to sleep, or say which rule keeps it awake. With a wake it proves that the
    host comes back, so it need not have proven it."""
    running = work.operation
    if running is not None and running.action is Action.SLEEP:
        return Accepted(operation=running.id, warnings=("it is being put to sleep already",))
    bar = next(fit.bars(work.fleet, work.name, work.now, is_asked=True), None)
    if bar is not None:
        refusal = RefusedBy(rule=bar.rule, why=f"{work.name} stays on: {bar.why}")
        recording.refuse(work, Action.SLEEP.value, by=asked.by, reason=asked.reason, refusal=refusal)
        return refusal
    operation = policy.put_to_sleep(work, cause=Cause.REQUEST, by=asked.by, reason=asked.reason)
    return Accepted(operation=operation.id)


def wake(work: Work, asked: WakeAsked) -> Answer:
    """Wake so many more hosts of a cluster. They are switched on as pacing allows; those that fail are replaced by
    others as long as the reserve lacks them."""
    fleet, cluster = work.fleet, ClusterName(asked.cluster)
    if cluster not in fleet.by_cluster:
        return RefusedBy(rule="cluster", why=f"there is no cluster {cluster}; `fencectl saving` lists them")
    chosen = policy.wakeable(fleet, cluster, work.now)[: asked.hosts]
    for name in chosen:
        work.record(name, r.WakeWanted(by=asked.by, reason=asked.reason, cause=Cause.REQUEST))
    policy.look(work)
    return Accepted(operation=OperationId(""), hosts=tuple(map(str, chosen)), short=asked.hosts - len(chosen))
