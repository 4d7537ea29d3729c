"""Turns a journal entry into a few words of a story; None for noise. No tokens, no wording of logs."""

from fenced.core.durable import records as r
from fenced.core.durable.state import GateVerdict, HostState, Slot
from fenced.model.names import HostName
from fenced.model.power import Outcome, Verdict, What
from tests.golden.saving_words import of_capacity, of_sleep


class Teller:
    """Remembers the last reading, so that equal ones are shown once. `is_deciding`: it tells decision records, too."""

    def __init__(self, *, is_deciding: bool = False) -> None:
        self._is_deciding = is_deciding
        self._policy = ""
        self._read: dict[tuple[str, str], str] = {}
        self._steps: dict[tuple[str, str, int], What] = {}

    def tell(self, host: HostName | None, record: r.Record) -> str | None:
        """Return the words for a record."""
        if host is None:
            return _of_fleet(record)
        match record:
            case r.Decided():
                return self._decided(record) if self._is_deciding else None
            case r.RaceEnded():
                return self._race(record)
            case r.StepStarted():
                return self._begun(record)
            case r.StepEnded():
                return self._step(record)
            case r.HostHeard() | r.HostSuspected() | r.HostHeld() | r.HostLeft() | r.SuspicionReleased():
                return _of_detection(record)
            case r.HostFenced() | r.HostRevoked() | r.Contradicted() | r.LeftOff() | r.PowerSeen() | r.DevicesTrusted():
                return _of_proof(record)
            case r.HostPutAside():
                return "PUT ASIDE, held by record"
            case r.AnnouncementLost():
                return f"LOST ({record.shown})"
            case r.WrongMachineFound():
                return f"WRONG MACHINE at {record.device}"
            case r.PathRead():
                return f"seen: {record.device} reads {record.power.value} through {record.proxy}"
            case r.PathsAgreed():
                return f"the paths to {record.device} agree"
            case r.DevicesDistrusted() | r.TrustAdvanced() | r.FenceableChanged():
                return _of_trust(record)
            case r.DrillEnded():
                return f"DRILL {record.result.value}" + (
                    f" at {record.failed_step.value}" if record.failed_step else ""
                )
            case r.MaintenanceSet() | r.MaintenanceEnded() | r.RequestRefused():
                return _of_people(record)
            case _ if isinstance(record, r.SleepRecord):
                return of_sleep(record)
            case _:
                return _of_operation(record)

    def _decided(self, record: r.Decided) -> str:
        shut = f" by {', '.join(gate.gate for gate in record.shut)}" if record.shut else ""
        asked = {fact.what: fact for fact in record.inputs}.get("request")
        what = f" {asked.value} of {asked.source}" if asked is not None else ""
        plan = f", {record.plan.action.value}" if record.plan is not None else ""
        is_other, self._policy = self._policy not in {"", record.policy}, record.policy
        return f"decides {record.outcome.value}{what}{shut}{plan}{', under another configuration' if is_other else ''}"

    def _race(self, record: r.RaceEnded) -> str:
        lost = ", ".join(
            f"{entry.proxy} {entry.verdict.value}"
            for entry in record.entries
            if entry.verdict not in {Verdict.WON, Verdict.RESERVE}
        )
        others = f" ({lost})" if lost else ""
        if record.winner is None:
            return f"race for {record.device}: nobody reaches it{others}"
        read = "off, which does not count yet" if record.settling_until else record.power.value
        self._read[(record.operation, record.device)] = read
        return f"race for {record.device}: {record.winner}, it reads {read}{others}"

    def _begun(self, record: r.StepStarted) -> str | None:
        self._steps[(record.operation, record.device, record.number)] = record.what
        if record.what is What.STATUS:
            return None
        return f"{record.what.value} {record.device} through {record.proxy}"

    def _step(self, record: r.StepEnded) -> str | None:
        what = self._steps.get((record.operation, record.device, record.number))
        if what is not None and what is not What.STATUS:
            self._read.pop((record.operation, record.device), None)
            doubt = "" if record.is_end_known else ", may still act"
            return f"{what.value} {record.device}: {record.outcome.value}{doubt}"
        if record.settling_until:
            return self._changed(record, "off, which does not count yet")
        said = record.outcome.value if record.outcome is not Outcome.UNKNOWN or not record.error else "not readable"
        return self._changed(record, said)

    def _changed(self, record: r.StepEnded, said: str) -> str | None:
        if self._read.get((record.operation, record.device)) == said:
            return None
        self._read[(record.operation, record.device)] = said
        return f"{record.device} reads {said}" if said != "not readable" else f"{record.device} is not readable"


def gates(verdicts: tuple[GateVerdict, ...]) -> str:
    return ", ".join(verdict.gate for verdict in verdicts if not verdict.is_open) or "nothing"


def _of_detection(
    record: r.HostHeard | r.HostSuspected | r.HostHeld | r.HostLeft | r.SuspicionReleased,
) -> str:
    match record:
        case r.HostHeard():
            return f"HEARD ({record.why})"
        case r.HostSuspected():
            return f"SUSPECT ({record.cause.value})"
        case r.HostHeld():
            would = f", would {record.would}" if record.would else ""
            return f"held by {gates(record.gates)}{would}"
        case r.HostLeft():
            return "LEFT" + (", away too long" if record.is_overdue else "")
        case r.SuspicionReleased():
            return "released: gets release_grace"


def _of_proof(
    record: r.HostFenced | r.HostRevoked | r.Contradicted | r.LeftOff | r.PowerSeen | r.DevicesTrusted,
) -> str:
    match record:
        case r.HostFenced():
            proof = f"level {record.level}" if record.level is not None else record.proof.value
            return f"FENCED ({proof}{', stay off' if record.is_stay_off else ''})"
        case r.HostRevoked():
            lied = f", distrusts {' '.join(record.distrusted)}" if record.distrusted else ""
            return f"REVOKED ({'alive' if record.is_alive else 'has power'}{lied})"
        case r.Contradicted():
            said = ", ".join(f"{word.power.value} through {word.proxy}" for word in record.words)
            return f"CONTRADICTION at {record.device}: {said}" if record.device is not None else "CONTRADICTION"
        case r.LeftOff():
            return "LEFT OFF"
        case r.PowerSeen():
            return f"seen: {record.device} reads {record.power.value}"
        case r.DevicesTrusted():
            return f"trusts {' '.join(record.devices)} again"


def _of_trust(record: r.DevicesDistrusted | r.TrustAdvanced | r.FenceableChanged) -> str:
    match record:
        case r.DevicesDistrusted():
            return f"DISTRUSTS {' '.join(record.devices)}"
        case r.TrustAdvanced():
            by_us = ", switched by us" if record.trial.is_switched else ""
            return f"{record.trial.device} was seen {record.trial.followed.value} with its host{by_us}"
        case r.FenceableChanged():
            why = ", ".join(f"{reason.device} {reason.kind}" for reason in record.why)
            return f"FENCEABLE {record.level.value}" + (f" ({why})" if why else "")


def _of_people(record: r.MaintenanceSet | r.MaintenanceEnded | r.RequestRefused) -> str:
    match record:
        case r.MaintenanceSet():
            return f"maintenance on, {record.after.value}"
        case r.MaintenanceEnded():
            return "maintenance off"
        case r.RequestRefused():
            return f"{record.action} refused by {record.rule}"


def _of_operation(record: r.Record) -> str | None:
    match record:
        case r.OperationStarted():
            operation = record.operation
            where = "" if record.slot is Slot.RUNNING else f", {record.slot.value}"
            what = "drill" if operation.is_drill else operation.action.value
            return f"operation {what} ({operation.cause.value}{where})"
        case r.WaitingOperationStarted():
            return "the waiting operation runs"
        case r.OperationJoined():
            return f"{record.by} joins: {record.action.value}"
        case r.LevelEntered():
            return f"level {record.level}"
        case r.LifeChecked():
            return f"asked itself: {record.answered or 'no answer'}"
        case r.GatesPassed():
            return f"gates open for level {record.level}"
        case r.PhaseEntered():
            return f"phase {record.phase.value}"
        case r.PathLost():
            return f"path to {record.device} lost"
        case r.DeviceGivenUp():
            return f"{record.device} given up"
        case r.EndingDecided():
            return f"stopped: {record.ending.value}" if record.why else None
        case r.OperationResumed():
            return "RESUMED after our restart"
        case r.AnnouncementAcknowledged():
            return "the broker has the announcement"
        case r.HostRestored():
            return f"redundancy lost: {' '.join(record.missing)}" if record.missing else "RESTORED"
        case r.RestoreFailed():
            return f"RESTORE FAILED: {' '.join(record.missing)}"
        case r.FenceFailed():
            return "FENCE FAILED"
        case r.OperationEnded():
            return _ended(record)
        case _:
            return None


def _ended(record: r.OperationEnded) -> str:
    said = [record.state.value.upper(), f"power {record.power.value}"]
    if record.is_fenced:
        said.append("fenced")
    if record.restored.value != "not_asked":
        said.append(f"restored {record.restored.value}")
    return f"operation {', '.join(said)}; host {record.after.value}"


def _of_fleet(record: r.Record) -> str | None:
    match record:
        case r.Armed():
            return "ARMED"
        case r.Disarmed():
            return "DISARMED"
        case r.StormBegan():
            storm = record.storm
            common = f", they share {' '.join(storm.common)}" if storm.common else ""
            return f"STORM in {storm.words}: {' '.join(storm.hosts)}{common}"
        case r.StormEnded():
            return f"storm {record.end.why}"
        case r.PauseSet():
            return f"pause {record.pause.match}"
        case r.PauseEnded():
            return "pause over"
        case r.StoreDoubted():
            return "STORE HELD"
        case r.StoreReleased():
            return "STORE RELEASED"
        case r.BusLost():
            return "BUS LOST"
        case r.BusBack():
            return "BUS BACK"
        case r.CapacityChanged():
            return of_capacity(record)
        case _:
            return None


def summary(state: HostState) -> str:
    """Return a host's state at the end of a story."""
    more = [
        word
        for word, is_so in (
            ("stay off", state.is_stay_off),
            ("left off", state.is_left_off),
            ("in operation", state.operation is not None),
            (f"held by {gates(state.held_by)}", bool(state.held_by)),
            (f"owed {' '.join(state.owed)}", bool(state.owed)),
            ("drilled", state.drill is not None),
            (f"distrusts {' '.join(state.distrusted)}", bool(state.distrusted)),
        )
        if is_so
    ]
    return ", ".join([state.state.value, *more])
