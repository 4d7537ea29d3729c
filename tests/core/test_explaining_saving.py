"""What `explain` says of a host that sleeps, was woken, did not come, or could sleep and does not."""

from fenced.core.allowed import gates
from fenced.core.explaining import LINES_MAX, summary
from fenced.core.idle import told
from fenced.model.names import HostName
from tests.core.saving_desk import SavingDesk


def lines(desk: SavingDesk, name: str) -> str:
    verdicts = gates.all_gates(desk.fleet, HostName(name), desk.now)
    said = summary(desk.fleet, HostName(name), desk.now, verdicts)
    assert len(said) <= LINES_MAX
    return "\n".join(said)


def test_a_sleeper_says_since_when_why_and_who_wakes_it() -> None:
    desk = SavingDesk(reserve=0)
    name = str(desk.put_to_sleep())
    desk.busy()
    desk.go(200.0)
    said = lines(desk, name)
    assert f"{name} sleeps for" in said
    assert "to save power: it had no work" in said
    assert f"fencectl wake --cluster c1 --reason R`, or alone by `fencectl on {name}`" in said
    assert "No recovery starts on it" in said


def test_one_that_is_wanted_or_woken_names_who_wants_it() -> None:
    desk = SavingDesk(reserve=0, waking_cluster=0)
    name = str(desk.put_to_sleep())
    desk.busy()
    desk.wanted()
    assert "person wants it awake: told." in lines(desk, name)
    desk = SavingDesk(reserve=0)
    name = str(desk.put_to_sleep())
    desk.busy()
    desk.wanted()
    assert "person woke it: told." in lines(desk, name)
    assert "did not come" not in lines(desk, name)


def test_one_that_did_not_come_says_what_happens_now() -> None:
    desk = SavingDesk(reserve=0)
    name = str(desk.put_to_sleep())
    desk.busy()
    desk.wanted()
    desk.live(desk.inventory.hosts[HostName(name)].settings.detection.boot_grace_seconds + 120.0)
    assert desk.is_now(name) == "suspect"
    assert "It did not come: another one was woken." in lines(desk, name)


def test_a_host_that_is_heard_says_nothing_of_saving_in_the_summary() -> None:
    desk = SavingDesk(reserve=9)
    desk.go(100.0)
    assert "sleep" not in lines(desk, "node-1")
    assert [bar.rule for bar in told.why_awake(desk.fleet, HostName("node-1"), desk.now)] == ["reserve"]
