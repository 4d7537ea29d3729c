"""S10: no automatic OFF begins on a host that boots with the power that the daemon gave it, within its `boot_grace`.

Judges by the truth of machines and of the commands that really acted; whether the daemon proved the host off before
does not matter.
"""

from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Power, What
from tests.world.machines import Run
from tests.world.rules.base import STORED_SECONDS, Rule
from tests.world.wires import Sent

MARGIN_SECONDS = 1.5
"""The time of a batch, and of a clock that goes wrong."""


class BootersAreSpared(Rule):
    """The first OFF of an automatic operation."""

    name = "S10"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._lit: dict[HostName, float] = {}
        """When the last ON of the daemon acted that found the host without power."""

    def acting(self, sent: Sent) -> None:
        machine = sent.plug.machine
        if sent.power is Power.ON and sent.unit is sent.plug and not machine.is_powered:
            self._lit[machine.name] = self.truth.now()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if not isinstance(record, r.StepStarted) or record.token is None or record.what is not What.OFF:
            return
        op = self.truth.operations[record.operation]
        if op.is_automatic and not op.has_sent_off and self._is_booting(host, at):
            ago = at - self._lit[host]
            self.found(f"{op.id} sends its first OFF to {host}, which boots: it got power {ago:.0f} s ago")

    def _is_booting(self, host: HostName, at: float) -> bool:
        """Return whether it boots since an ON of ours, and its time is not over; not of a decision that a store may
        have written late."""
        machine, detection = self.truth.machines[host], self.truth.inventory.hosts[host].settings.detection
        if host not in self._lit or machine.does is not Run.BOOTING or not self.truth.is_answerable(machine):
            return False
        is_of_now = at >= self.truth.troubled_at + STORED_SECONDS
        return is_of_now and at < self._lit[host] + detection.boot_grace_seconds - MARGIN_SECONDS
