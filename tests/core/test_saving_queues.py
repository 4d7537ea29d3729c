"""What puts a host to sleep goes last in every queue, so that a fence never waits behind it (S15, S24)."""

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action, What
from tests.core.saving_desk import BMC, SavingDesk

Sent = c.RunRace | c.ReadDevice | c.SwitchDevice


class Noting(SavingDesk):
    """A desk that notes with which priority each command of a sleep, and of a wake, was sent."""

    def until(self, kind: type[r.Record], name: HostName, seconds: float = 300.0) -> set[tuple[What | None, int]]:
        found: set[tuple[What | None, int]] = set()
        end = self.now + seconds
        begun = len(self.entries)
        while self.now < end and not any(isinstance(it.record, kind) for it in self.entries[begun:]):
            for it in self.pending:
                if isinstance(it, Sent) and it.host == name:
                    found.add((it.what if isinstance(it, c.SwitchDevice) else None, it.priority))
            if not self.serve_one():
                self.go(0.5)
        return found


def test_a_sleep_goes_behind_everything_else() -> None:
    desk = Noting()
    name = desk.until_asked().host
    asked = desk.waiting(c.SwitchDevice)[0]
    assert asked.what is What.SOFT_OFF and asked.priority > c.PRIORITY_STATUS
    desk.switched(BMC)
    desk.obey(name)
    assert desk.until(r.HostSlept, name) == {(None, asked.priority)}


def test_a_wake_goes_behind_a_fence_and_a_fence_behind_nothing() -> None:
    desk = Noting()
    name = desk.put_to_sleep()
    desk.wanted()
    sent = desk.until(r.HostRestored, name)
    assert {priority for _, priority in sent} == {c.PRIORITY_ON}
    other = HostName("node-8")
    assert desk.ask(Action.OFF, other).startswith("accepted")
    assert {priority for _, priority in desk.until(r.HostFenced, other)} == {c.PRIORITY_OFF}


def test_power_that_is_given_back_after_work_was_cut_goes_as_any_other() -> None:
    desk = Noting()
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.work[name] = 2
    desk.beat(name)
    desk.obey(name)
    desk.until(r.HostFenced, name)
    assert (What.ON, c.PRIORITY_ON) in desk.until(r.HostRestored, name)
