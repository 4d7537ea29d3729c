"""S2, S12: what is taken for OFF was read OFF, by the world's own book; what is done is done to the host that it is for."""

from fenced.core import records as r
from fenced.model.names import HostName
from fenced.model.power import Proof
from tests.world.rules.base import Rule
from tests.world.wires import Sent


class UnknownIsNotOff(Rule):
    """Each device of the proof answered OFF at least `stable_reads` times since it last said anything else."""

    name = "S2"

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if not isinstance(record, r.HostFenced) or record.proof is Proof.HUMAN:
            return
        machine = self.truth.machines[host]
        if not self.truth.is_answerable(machine):
            return
        for name in record.devices:
            wanted = self.truth.inventory.hosts[host].device(name).power.stable_reads
            answer = self.truth.answers.get(machine.plugs[name].plug_id)
            offs = answer.offs if answer is not None else 0
            if offs < wanted:
                self.found(f"{host} is announced as fenced, and {name} said OFF {offs} times in a row, not {wanted}")


class NamesAreWhole(Rule):
    """An operation of one host touches the plugs of that host alone."""

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
