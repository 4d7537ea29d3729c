"""Several reporters of one host: which of them is the measure of its silence, and who is waited for before power."""

import pytest

from fenced.core import events as e
from fenced.core.allowed import of_life
from fenced.core.decide import decide
from fenced.core.durable import records as r
from fenced.core.suspected import freshness
from fenced.model.names import BootId, HostName
from fenced.model.power import State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

OTHERS = [HostName(f"node-{number}") for number in range(2, 7)]


class Reported(Desk):
    """A desk whose first host is reported by several, each at its own pace."""

    def __init__(self, **settings: Setting) -> None:
        super().__init__(
            Rack(devices=("bmc:1",), settings={name.replace("__", "."): value for name, value in settings.items()})
        )
        self.counts: dict[str, int] = {}
        self.fleet.see(NODE, reporter="agent")

    def report(
        self, reporter: str, *, interval: float | None = None, boot: str = "b1", workloads: int = 0,
        roles: tuple[str, ...] = (), status: e.HealthStatus = e.HealthStatus.OK,
    ) -> e.Health:  # fmt: skip
        self.counts[reporter] = self.counts.get(reporter, 0) + 1
        beat = e.Health(
            host=NODE, received=self.now, is_retained=False, boot=BootId(boot), reporter=reporter, status=status,
            sequence=self.counts[reporter], interval_seconds=interval, workloads=workloads, roles=roles,
        )  # fmt: skip
        self.do(beat)
        return beat

    def run(self, seconds: float, **paces: float) -> None:
        """Let each reporter send at its pace, and time pass."""
        end = self.now + seconds
        due = dict.fromkeys(paces, self.now)
        while self.now < end - 1e-9:
            for reporter, pace in paces.items():
                if self.now >= due[reporter] - 1e-9:
                    self.report(reporter, interval=pace)
                    due[reporter] += pace
            self.go(1.0, silent=[NODE])

    def until_operation(self, seconds: float = 200.0) -> float:
        begun = self.now
        while self.state().operation is None:
            assert self.now < begun + seconds, f"never: {self.state().held_by}"
            self.go(0.5, silent=[NODE])
        return self.now - begun


def test_one_reporter_costs_nothing_and_keeps_nothing() -> None:
    at = Desk()
    assert at.fleet.sights[NODE].reporters == () and at.fleet.sights[NODE].reporter == ""


def test_a_slow_reporter_does_not_stretch_the_grace_of_a_fast_one() -> None:
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.report("collector", interval=30.0)
    assert at.fleet.interval_seconds(NODE) == 5.0
    assert at.fleet.grace_seconds(NODE, at.now) == 20.0
    at.go(21.0, silent=[NODE])
    assert at.state().state is State.SUSPECT


def test_a_dead_host_is_fenced_as_soon_as_the_slow_reporter_is_late_too() -> None:
    """It does not wait for three intervals of the slow one, as that one alone would have."""
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.report("collector", interval=30.0)
    assert 44.0 < at.until_operation() < 47.0


def test_who_was_late_when_the_fast_one_died_is_not_waited_for() -> None:
    at = Reported()
    at.run(31.0, agent=5.0, collector=30.0)
    at.run(60.0, agent=5.0)
    assert at.until_operation() < 28.0


def test_a_host_whose_fast_reporter_died_is_not_fenced() -> None:
    """At most it is suspect once, until the slow one speaks; from then on that one is the measure."""
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.run(600.0, collector=30.0)
    assert at.state().state is State.HEALTHY and not at.records(r.OperationStarted)
    assert len(at.records(r.HostSuspected)) <= 1
    assert at.fleet.interval_seconds(NODE) == 20.0, "30 s is more than four configured intervals"


def test_a_host_of_which_only_the_slow_reporter_is_left_is_fenced_when_it_dies() -> None:
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.run(120.0, collector=30.0)
    at.report("collector", interval=30.0)
    assert 55.0 < at.until_operation() < 70.0


def test_while_the_slow_one_is_not_late_the_suspect_is_held_and_told_why() -> None:
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.report("collector", interval=30.0)
    at.go(30.0, silent=[NODE])
    assert {verdict.gate for verdict in at.state().held_by if not verdict.is_open} == {"alive_but_silent"}
    assert "its reporter collector is not late yet" in of_life.life(at.fleet, NODE, at.now).why


def test_a_reporter_that_promises_nothing_soon_is_waited_for_no_longer_than_it_alone_would_be() -> None:
    at = Reported()
    at.run(30.0, agent=5.0)
    at.report("collector", interval=1e9)
    assert 55.0 < at.until_operation() < 70.0


def test_the_fast_one_is_the_measure_again_once_it_is_back() -> None:
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.run(120.0, collector=30.0)
    at.run(10.0, agent=5.0)
    assert at.fleet.interval_seconds(NODE) == 5.0


def test_the_most_workloads_and_all_roles_of_those_that_are_not_late_count() -> None:
    at = Reported(detection__grace_per_workload_seconds=1.0)
    at.report("agent", interval=5.0, workloads=12, roles=("spm",))
    at.report("collector", interval=30.0, roles=("db",))
    sight = at.fleet.sights[NODE]
    assert sight.workloads == 12 and set(sight.roles) == {"spm", "db"}
    assert at.fleet.grace_seconds(NODE, at.now) == 32.0
    at.run(60.0, collector=30.0)
    assert at.fleet.sights[NODE].workloads == 0


def test_who_is_late_is_told() -> None:
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    assert freshness.late_reporters(at.fleet, NODE, at.now) is None
    at.run(60.0, collector=30.0)
    said = freshness.late_reporters(at.fleet, NODE, at.now)
    assert said is not None and said.startswith("not all of its reporters are heard: agent (heard ")


def test_reporters_are_bounded_and_forgotten() -> None:
    at = Reported()
    for number in range(50):
        at.report(f"r{number}")
    assert len(at.fleet.sights[NODE].reporters) == 8
    at.now += 86401.0
    at.report("r49")
    assert at.fleet.sights[NODE].reporters == (), "only the one that is heard is left"


def test_a_refused_batch_forgets_no_reporter() -> None:
    at = Reported()
    at.report("agent", interval=5.0)
    at.now += 1.0
    for _ in range(3):
        at.fleet.begin()
        beat = e.Health(host=NODE, received=at.now, is_retained=False, boot=BootId("b1"), reporter="collector",
                        sequence=1, interval_seconds=30.0)  # fmt: skip
        decide(at.fleet, beat, at.now)
        at.fleet.roll_back()
    assert {it.name for it in at.fleet.sights[NODE].reporters} == {"agent", "collector"}
    decide(at.fleet, beat, at.now)
    assert at.fleet.interval_seconds(NODE) == 5.0


@pytest.mark.parametrize("is_new_run", [False, True])
def test_one_reporter_says_stopping_and_another_one_has_not_noticed(is_new_run: bool) -> None:
    """The collector asked the host before it went down. Only a new run, or stopping_max, makes its word count."""
    at = Reported()
    at.run(60.0, agent=5.0, collector=30.0)
    at.report("agent", status=e.HealthStatus.STOPPING)
    assert at.state().state is State.LEFT
    at.go(3.0, silent=[NODE])
    at.report("collector", interval=30.0, boot="b2" if is_new_run else "b1")
    assert (at.state().state is State.LEFT) is not is_new_run
    if not is_new_run:
        at.go(120.0, silent=[NODE])
        assert not at.records(r.OperationStarted) and not at.records(r.HostSuspected)
        at.run(700.0, collector=30.0)
        assert at.state().state is State.HEALTHY, "it did not go down after all"
