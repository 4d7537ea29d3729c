"""S6, S7, S16, S18: how power commands are sent.

Never raced, silently repeated, cycled, or sent to the daemon's machine.
"""

from fenced.core.durable import records as r
from fenced.model.names import ENGINE, HostName, OperationId, PlugId, Token
from fenced.model.power import What
from tests.world.rules.base import Rule
from tests.world.wires import Sent


class CommandsAreNotRaced(Rule):
    """One command per plug at a time, a read before the next one, and no token twice."""

    name = "S6"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._open: dict[PlugId, tuple[OperationId, int]] = {}
        self._unread: dict[PlugId, OperationId] = {}
        self._used: set[Token] = set()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.StepStarted() if record.token is not None:
                self._command(record)
            case r.StepEnded() | r.RaceEnded():
                self._answered(host, record)
            case r.OperationEnded():
                # Without an answer it ends only after the `not_after` of its commands, which S5 and S14 check.
                self._open = {plug: step for plug, step in self._open.items() if step[0] != record.operation}
            case r.OperationResumed():
                for plug in self.truth.machines[host].plugs.values():
                    self._open.pop(plug.plug_id, None)
            case _:
                pass

    def _command(self, record: r.StepStarted) -> None:
        if record.plug_id in self._open:
            self.found(f"{record.what.value} for {record.plug_id} starts while another command of it runs")
        elif self._unread.get(record.plug_id) == record.operation:
            self.found(f"{record.what.value} for {record.plug_id} follows a command, with no read between")
        self._open[record.plug_id] = (record.operation, record.number)
        self._unread[record.plug_id] = record.operation

    def _answered(self, host: HostName, record: r.StepEnded | r.RaceEnded) -> None:
        plug = self.truth.machines[host].plug(record.device).plug_id
        if isinstance(record, r.StepEnded) and self._open.get(plug) == (record.operation, record.number):
            del self._open[plug]
        elif plug not in self._open:
            self._unread.pop(plug, None)

    def sent(self, sent: Sent) -> None:
        if sent.token in self._used:
            self.found(f"{sent.power.value} for {sent.plug.plug_id} is sent a second time under {sent.token}")
        self._used.add(sent.token)


class NoCycle(Rule):
    """Devices get only status, off, on and the soft off of saving."""

    name = "S7"
    KNOWN = frozenset({"status", What.OFF.value, What.ON.value, What.SOFT_OFF.value})

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._seen = 0

    def stepped(self) -> None:
        calls = self.truth.wires.calls
        for _, proxy, plug, what in calls[self._seen :]:
            if what not in self.KNOWN:
                self.found(f"{what} is asked of {plug} through {proxy}")
        self._seen = len(calls)


class NothingOutlivesItsDaemon(Rule):
    """What ran on a dead daemon's own machine does not act after its successor has sent a command to the same plug."""

    name = "S16"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._life: dict[int, int] = {}
        self._newest: dict[PlugId, int] = {}

    def sent(self, sent: Sent) -> None:
        self._life[sent.number] = self._newest[sent.plug.plug_id] = self.truth.lives

    def acting(self, sent: Sent) -> None:
        life = self._life.get(sent.number, self.truth.lives)
        is_followed = self._newest.get(sent.plug.plug_id, life) > life
        if sent.proxy == ENGINE and is_followed and sent.is_honest:
            self.found(
                f"{sent.power.value} of {sent.plug.plug_id} acts, sent by a daemon that died, after its successor's"
            )


class OwnMachine(Rule):
    """The daemon never switches the machine on which it runs."""

    name = "S18"

    def sent(self, sent: Sent) -> None:
        if self.truth.inventory.hosts[sent.plug.machine.name].is_own_machine:
            self.found(f"{sent.power.value} is sent to {sent.plug.plug_id}, of the daemon's own machine")
