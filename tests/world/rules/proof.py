"""S2, S12: what counts as OFF was read OFF in truth, and each act is done to the host for which it is meant."""

from collections import defaultdict
from dataclasses import dataclass, field

from fenced.core.durable import records as r
from fenced.model.names import DeviceName, HostName, OperationId, PlugId, ProxyName
from fenced.model.power import Outcome, Power, Proof, Verdict, What
from tests.world.rules.base import Answer, Rule
from tests.world.wires import Sent

READ_SECONDS = 0.5
"""The daemon dates a reading by its end, the world by the device's answer."""


class UnknownIsNotOff(Rule):
    """Every device of the host's level is in the proof,
    and each answered OFF at least `stable_reads` times since its last other answer.

    If the daemon sent no OFF before, or the watch found it off, then the device read only OFF for `already_off_hold`.
    """

    name = "S2"
    outlives_the_store = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._ours: set[PlugId] = set()
        self._commanded: set[tuple[OperationId, DeviceName]] = set()

    def acting(self, sent: Sent) -> None:
        if sent.power is Power.OFF:
            self._ours.add(sent.plug.plug_id)
        else:
            self._ours.discard(sent.plug.plug_id)

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if isinstance(record, r.StepStarted) and record.token is not None:
            self._commanded.add((record.operation, record.device))
        if not isinstance(record, r.HostFenced) or record.proof is Proof.HUMAN:
            return
        level = {it.name for it in self.truth.inventory.hosts[host].devices if it.level == record.level}
        if missing := level - {*record.devices}:
            self.found(f"{host} is announced as fenced by level {record.level}, without {', '.join(sorted(missing))}")
        machine = self.truth.machines[host]
        if not self.truth.is_answerable(machine):
            return
        for name in record.devices:
            wanted = self.truth.inventory.hosts[host].settings.power.stable_reads
            answer = self.truth.answers.get(machine.plug(name).plug_id)
            offs = answer.offs if answer is not None else 0
            if offs < wanted:
                self.found(f"{host} is announced as fenced, and {name} said OFF {offs} times in a row, not {wanted}")
            elif answer is not None and self._is_found_off(host, name, record):
                self._look_held(host, name, answer, at)

    def _is_found_off(self, host: HostName, device: DeviceName, record: r.HostFenced) -> bool:
        """Return whether its OFF is not the result of a command of this operation, nor of an earlier one meanwhile."""
        op = self.truth.operations.get(record.operation) if record.operation is not None else None
        if op is None or op.is_ended:
            return True  # found by the watch
        is_ours = self.truth.machines[host].plug(device).plug_id in self._ours
        return not is_ours and (op.id, device) not in self._commanded

    def _look_held(self, host: HostName, device: DeviceName, answer: Answer, at: float) -> None:
        hold = self.truth.inventory.hosts[host].settings.power.already_off_hold_seconds
        held = at - answer.off_since
        if held < hold - READ_SECONDS:
            self.found(f"{host} is announced as fenced, and {device}, found off, said OFF for {held:.1f} s, not {hold}")


@dataclass(slots=True)
class Heard:
    """For the paths to one device in one operation: which read ON, which did so while an OFF could still act,
    which is in use.
    """

    lit: set[ProxyName] = field(default_factory=set)
    unsure: set[ProxyName] = field(default_factory=set)
    off_acts_until: float = 0.0
    own: ProxyName | None = None
    steps: dict[int, tuple[r.StepStarted, float]] = field(default_factory=dict)

    def said(self, proxy: ProxyName, power: Power | None, asked_at: float) -> None:
        if power in {Power.ON, Power.OFF}:
            self.lit.discard(proxy)
            self.unsure.discard(proxy)
        if power is Power.ON:
            (self.unsure if asked_at < self.off_acts_until else self.lit).add(proxy)


class PathsAgree(Rule):
    """No path to a device of the proof read it ON in the operation without a later OFF reading
    or an OFF command after it.

    An ON that was read while an OFF could still act is not current: that path is read again, or found gone.
    """

    name = "S2"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._heard: dict[tuple[OperationId, DeviceName], Heard] = defaultdict(Heard)

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.RaceEnded():
                self._race_ended(self._heard[record.operation, record.device], record)
            case r.StepStarted():
                heard = self._heard[record.operation, record.device]
                heard.steps[record.number] = record, at
                if record.what is What.OFF:
                    heard.lit.clear()
                    heard.unsure.clear()
                    heard.own, heard.off_acts_until = record.proxy, record.not_after or at
            case r.StepEnded():
                self._step_ended(self._heard[record.operation, record.device], at, record)
            case r.PathLost():
                heard = self._heard[record.operation, record.device]
                heard.unsure -= {record.proxy or heard.own}
            case r.HostFenced() if record.operation is not None and record.proof is not Proof.HUMAN:
                for name in record.devices:
                    heard = self._heard[record.operation, name]
                    for proxy in sorted(heard.lit | heard.unsure):
                        self.found(f"{host} is announced as fenced, and {name} reads ON through {proxy}")
            case r.OperationEnded():
                for place in [place for place in self._heard if place[0] == record.operation]:
                    del self._heard[place]
            case _:
                pass

    def _race_ended(self, heard: Heard, record: r.RaceEnded) -> None:
        began = self.truth.operations[record.operation].started
        heard.own = record.winner or heard.own
        for entry in record.entries:
            if entry.verdict in {Verdict.FAILED, Verdict.TIMED_OUT}:
                heard.unsure.discard(entry.proxy)
            heard.said(entry.proxy, entry.power, began + (entry.started_ms or 0) / 1000)

    def _step_ended(self, heard: Heard, at: float, record: r.StepEnded) -> None:
        started, began = heard.steps.pop(record.number, (None, at))
        if started is None:
            return
        if started.what is What.OFF and record.is_end_known:
            heard.off_acts_until = record.settled_at or at
        elif started.what is What.STATUS and record.error is not None:
            heard.unsure.discard(started.proxy)
        elif started.what is What.STATUS and record.outcome in {Outcome.ON, Outcome.OFF}:
            heard.said(started.proxy, Power(record.outcome.value), began)


class NamesAreWhole(Rule):
    """An operation of one host touches only the plugs of that host."""

    name = "S12"

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if not isinstance(record, r.StepStarted) or record.token is None:
            return
        own = {plug.plug_id for plug in self.truth.machines[host].plugs.values()}
        if record.plug_id not in own or self.truth.operations[record.operation].host != host:
            self.found(f"{record.operation} of {host} sends {record.what.value} to {record.plug_id}")

    def sent(self, sent: Sent) -> None:
        if sent.plug.machine.name not in self.truth.running:
            self.found(f"{sent.power.value} for {sent.plug.plug_id}, whose host has no operation")
