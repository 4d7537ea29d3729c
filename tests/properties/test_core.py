"""The core under random histories: devices that answer anything, late or twice, people, crashes, and time that passes.

After each step, replaying the records gives the live state. What the watched desk checks holds at each decision. If
nothing answers any more, every operation ends.
"""

from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.power import Action, Outcome, Power
from tests.core.desk import FOR_EVER, NODE
from tests.properties.profiles import histories
from tests.properties.watched_desk import WatchedDesk
from tests.world.rack import Rack

RACKS = (("pdu-a:1",), ("pdu-a:1", "pdu-b:1"), ("pdu-a:1", "bmc:2"), ("bmc:1",), ("pdu-a:1", "pdu-b:1", "bmc:2"))
ANSWERS = (Power.ON, Power.OFF, Power.OFF, Power.OFF, Power.UNKNOWN)
ENDS = (Outcome.DONE, Outcome.DONE, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.REFUSED)
TROUBLES = ("disarmed", "maintenance", "lease", "bus", "pause")
LONGEST_SECONDS = 3600.0


class Histories(RuleBasedStateMachine):
    """One rule for each kind of event. `last`: answers that may be repeated."""

    @initialize(
        devices=st.sampled_from(RACKS),
        first=st.sampled_from((None, None, Action.OFF, Action.RESTART, "drill")),
        trouble=st.sampled_from(("", "", *TROUBLES)),
    )
    def begin(self, devices: tuple[str, ...], first: Action | Literal["drill"] | None, trouble: str) -> None:
        """`first`: a person's request; None: the host falls silent. `trouble`: comes before the first answer."""
        self.desk = WatchedDesk(Rack(devices=devices, drills=(NODE,), settings={"gates.cooldown_seconds": 0}))
        self.last: list[e.Event] = []
        if first is None:
            self.desk.fence()
        elif first == "drill":
            self.person_drills(is_forced=False)
        else:
            self.desk.ask(first)
        if trouble:
            self.trouble_for_a_while(trouble, 4, 0.5)

    @rule(answers=st.integers(1, 6))
    def served(self, answers: int) -> None:
        """Honest devices answer pending requests; if there are none, a moment passes."""
        for _ in range(answers):
            if not self.desk.serve_one():
                self.desk.go(1.1, silent=[NODE])

    @rule(seconds=st.sampled_from((0.5, 2.0, 8.0, 25.0)), is_silent=st.sampled_from((True, True, False)))
    def time_passes(self, seconds: float, is_silent: bool) -> None:
        self.desk.go(seconds, silent=[NODE] if is_silent else [])

    @rule(boot=st.sampled_from(("b1", "b1", "b2", "b3")))
    def heard(self, boot: str) -> None:
        self.desk.beat(boot=boot)

    @precondition(lambda self: self.desk.waiting(c.RunRace))
    @rule(power=st.sampled_from(ANSWERS), is_won=st.sampled_from((True, True, True, False)))
    def race_ends(self, power: Power, is_won: bool) -> None:
        command = self.desk.waiting(c.RunRace)[0]
        self.desk.race(command.device, power, winner="engine" if is_won else None)

    @precondition(lambda self: self.desk.waiting(c.ReadDevice))
    @rule(power=st.sampled_from(ANSWERS), is_error=st.sampled_from((False, False, False, True)), at=st.integers(0, 2))
    def read_ends(self, power: Power, is_error: bool, at: int) -> None:
        waiting = self.desk.waiting(c.ReadDevice)
        command = waiting[at % len(waiting)]
        answer = Outcome(power.value) if not is_error else Outcome.UNKNOWN
        self._finish(command, answer, error="no answer" if is_error else None)

    @precondition(lambda self: self.desk.waiting(c.SwitchDevice))
    @rule(outcome=st.sampled_from(ENDS), is_end_known=st.booleans(), at=st.integers(0, 2))
    def command_ends(self, outcome: Outcome, is_end_known: bool, at: int) -> None:
        waiting = self.desk.waiting(c.SwitchDevice)
        command = waiting[at % len(waiting)]
        is_done = outcome is Outcome.DONE
        self._finish(command, outcome, error=None if is_done else "told", is_end_known=is_done or is_end_known)

    def _finish(
        self, command: c.ReadDevice | c.SwitchDevice, outcome: Outcome, *, error: str | None, is_end_known: bool = True
    ) -> None:
        self.desk.pending.remove(command)
        event = e.StepFinished(
            host=command.host, operation=command.operation, device=command.device, number=command.number,
            outcome=outcome, error=error, is_end_known=is_end_known,
        )  # fmt: skip
        self.last = [*self.last[-5:], event]
        self.desk.do(event)

    @precondition(lambda self: self.last)
    @rule(at=st.integers(0, 5))
    def an_answer_comes_again(self, at: int) -> None:
        self.desk.do(self.last[at % len(self.last)])

    @precondition(lambda self: self.desk.waiting(c.WatchHost))
    @rule(power=st.sampled_from(ANSWERS))
    def watched(self, power: Power) -> None:
        command = self.desk.waiting(c.WatchHost)[0]
        self.desk.watched(*((str(device), power) for device, _ in command.paths))

    @precondition(lambda self: self.desk.records(r.HostFenced))
    @rule()
    def announcement_delivered(self) -> None:
        fenced = self.desk.records(r.HostFenced)[-1]
        if fenced.operation is not None:
            self.desk.do(e.AnnouncementDelivered(host=NODE, operation=fenced.operation))

    @rule(action=st.sampled_from((Action.OFF, Action.ON, Action.RESTART, Action.STATUS)))
    def person_asks(self, action: Action) -> None:
        self.desk.ask(action)

    @rule(is_forced=st.booleans())
    def person_drills(self, is_forced: bool) -> None:
        self.desk.do(e.DrillAsked(host=NODE, by="person", reason="told", is_forced=is_forced))

    @precondition(lambda self: self.desk.state().operation)
    @rule()
    def person_cancels(self) -> None:
        self.desk.cancel()

    @rule(trouble=st.sampled_from(TROUBLES), answers=st.integers(0, 4), seconds=st.sampled_from((0.5, 3.0, 12.0)))
    def trouble_for_a_while(self, trouble: str, answers: int, seconds: float) -> None:
        """Something stops the daemon for a while; devices still answer."""
        self._trouble(trouble, is_on=True)
        self.served(answers)
        self.desk.go(seconds, silent=[NODE])
        self._trouble(trouble, is_on=False)

    def _trouble(self, trouble: str, *, is_on: bool) -> None:
        desk, now = self.desk, self.desk.now
        match trouble:
            case "disarmed":
                desk.do(e.ArmAsked(is_on=not is_on, by="person", reason="told"))
            case "maintenance":
                desk.maintain(is_on=is_on)
            case "lease":
                desk.do(e.LeaseLost(why="told") if is_on else e.LeaseRenewed(until=FOR_EVER))
            case "bus":
                desk.do(e.BusDisconnected(at=now, why="told") if is_on else e.BusConnected(at=now))
            case "pause" if is_on:
                desk.do(e.PauseAsked(match="*", by="person", reason="told", until=None))
            case _:
                for pause in desk.fleet.state.pauses:
                    desk.do(e.PauseEndAsked(id=pause.id, by="person"))

    @rule()
    def configuration_read_again(self) -> None:
        self.desk.do(e.InventoryRead(inventory=self.desk.inventory))

    @rule()
    def killed(self) -> None:
        self.desk.crash()

    @rule(cut=st.integers(1, 40))
    def a_snapshot_and_what_came_after(self, cut: int) -> None:
        assert self.desk.replayed(cut=cut).hosts == self.desk.replayed().hosts

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "desk"):
            self.desk.look()

    def teardown(self) -> None:
        """Without any further answer, everything ends by its deadline."""
        if not hasattr(self, "desk"):
            return
        self.desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
        self.desk.do(e.LeaseRenewed(until=FOR_EVER))
        self.desk.idle(LONGEST_SECONDS)
        state = self.desk.state()
        assert (state.operation, state.waiting, state.reading, state.drill) == (None, None, None, None), state


TestHistories = Histories.TestCase
TestHistories.settings = histories(40, 60)
