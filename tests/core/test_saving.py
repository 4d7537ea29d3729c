"""Who is put to sleep, and what keeps a host awake (S24), on the core alone."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.idle import fit
from fenced.model.names import HostName
from fenced.model.power import Action, Outcome, Power, State, What
from tests.core.saving_desk import BMC, HOSTS, SOFT_SECONDS, VETO_SECONDS, SavingDesk

FIRST = HostName(HOSTS[0])


def rules(desk: SavingDesk, name: str = HOSTS[0], *, is_asked: bool = False) -> set[str]:
    return {bar.rule for bar in fit.bars(desk.fleet, HostName(name), desk.now, is_asked=is_asked)}


def calm(seconds: float = 100.0, **settings: object) -> SavingDesk:
    """Return a desk on which every host has been idle for long, and saving begins only when it is asked to."""
    desk = SavingDesk(**({"min_on": 99} | settings))  # type: ignore[arg-type]
    desk.live(seconds)
    return desk


def test_the_longest_awake_idle_host_is_put_to_sleep_softly_and_only_once_asked() -> None:
    desk = SavingDesk()
    command = desk.until_asked()
    assert command.host == FIRST and command.what is What.SOFT_OFF
    assert "host.sleep_announced" in desk.told
    announced = next(entry.at for entry in desk.entries if isinstance(entry.record, r.SleepAnnounced))
    assert desk.now >= announced + VETO_SECONDS
    desk.switched(BMC)
    desk.obey(FIRST)
    desk.live(60.0)
    assert desk.is_now(FIRST) == "sleeping"
    sent = [it for it in desk.entries if isinstance(it.record, r.StepStarted) and it.record.what is not What.STATUS]
    assert [it.record.what for it in sent if it.host == FIRST] == [What.SOFT_OFF]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"is_enabled": False}, "disabled"),
        ({"min_on": 8}, "min_on"),
        ({"reserve": 8}, "reserve"),
        ({"asleep_at_most_percent": 10.0}, "asleep_at_most"),
        ({"idle_for_seconds": 9000.0}, "idle_for"),
        ({"proven_on_seconds": 86400.0}, "proven_on"),
        ({"consent": ("scheduler",)}, "not_idle"),
        ({"gates.connectivity_at_least": 8}, "connectivity"),
        ({"gates.witness_hosts": 6}, "witness"),
        ({"host.automatic": False}, "automatic"),
    ],
)
def test_the_configuration_keeps_it_awake(settings: dict[str, object], rule: str) -> None:
    desk = SavingDesk(**settings)  # type: ignore[arg-type]
    desk.live(200.0)
    assert rule in rules(desk)
    assert not desk.going() and "host.sleep_announced" not in desk.told


@pytest.mark.parametrize("work", [1, None])
def test_work_and_what_is_not_said_keep_it_awake(work: int | None) -> None:
    desk = SavingDesk()
    desk.work = dict.fromkeys(desk.work, work)
    desk.live(200.0)
    assert "not_idle" in rules(desk) and not desk.going()


@pytest.mark.parametrize(("kind", "is_awake"), [("busy", True), ("storage_lease", True), ("drained", False)])
def test_what_other_systems_say_keeps_it_awake(kind: str, is_awake: bool) -> None:
    desk = calm()
    desk.do(
        e.Evidence(
            host=FIRST, received=desk.now, is_retained=False, source="it", evidence_kind=kind, is_alive=True,
            ttl_seconds=60.0,
        )
    )  # fmt: skip
    assert ("not_idle" in rules(desk)) is is_awake


def test_consent_lets_it_sleep() -> None:
    desk = SavingDesk(consent=("scheduler",), reserve=0)
    desk.live(50.0)
    for _ in range(40):
        desk.do(
            e.Evidence(
                host=FIRST, received=desk.now, is_retained=False, source="scheduler", evidence_kind="idle",
                is_alive=True, ttl_seconds=30.0,
            )
        )  # fmt: skip
        desk.live(5.0)
        if desk.going():
            break
    assert desk.going() == [FIRST]


def test_trouble_in_the_cluster_keeps_all_awake() -> None:
    desk = SavingDesk()
    desk.busy(HOSTS[0], HOSTS[1])
    desk.live(40.0)
    silent = [HostName(HOSTS[5])]
    desk.go(60.0, silent=silent)
    assert desk.is_now(HOSTS[5]) in {"suspect", "fencing"}
    assert "trouble" in rules(desk)


def test_one_of_a_cluster_at_a_time_with_a_pause() -> None:
    desk = SavingDesk(pause_seconds=100.0)
    first = desk.put_to_sleep()
    slept = desk.now
    second = desk.until_asked().host
    began = next(it.at for it in desk.entries if isinstance(it.record, r.OperationStarted) and it.host == second)
    assert second != first and began >= slept - 60.0 + 40.0
    assert len(desk.going()) == 1


# -- before the command -----------------------------------------------------------------------------------------------


def announced() -> SavingDesk:
    desk = SavingDesk()
    while "host.sleep_announced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5)
    assert desk.going() == [FIRST]
    return desk


@pytest.mark.parametrize("what", ["work", "silence", "pause", "disarm", "maintenance", "busy", "cancel", "on", "off"])
def test_during_the_veto_anything_that_speaks_against_it_ends_it(what: str) -> None:
    desk = announced()
    match what:
        case "work":
            desk.work[FIRST] = 2
        case "pause":
            desk.do(e.PauseAsked(match=f"host={FIRST}", by="person", reason="told", until=None))
        case "disarm":
            desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
        case "maintenance":
            desk.maintain(FIRST)
        case "busy":
            desk.do(
                e.Evidence(
                    host=FIRST, received=desk.now, is_retained=False, source="it", evidence_kind="busy",
                    is_alive=True, ttl_seconds=600.0,
                )
            )  # fmt: skip
        case "cancel":
            assert desk.cancel(FIRST).startswith("accepted")
        case "on":
            assert desk.ask(Action.ON, FIRST).startswith("accepted")
        case "off":
            assert desk.ask(Action.OFF, FIRST).startswith("accepted")
        case _:
            pass
    desk.live(12.0, silent=[FIRST] if what == "silence" else ())
    assert FIRST not in desk.going()
    sent = [it.record.what for it in desk.entries if it.host == FIRST and isinstance(it.record, r.StepStarted)]
    assert What.SOFT_OFF not in sent


def test_a_device_that_can_not_be_read_ends_it_without_a_command() -> None:
    desk = SavingDesk()
    while not desk.waiting(c.RunRace):
        desk.go(0.5)
    desk.set_power(Power.UNKNOWN, BMC, name=FIRST)
    desk.live(400.0)
    assert "host.sleep_announced" not in desk.told[:50] or desk.is_now(FIRST) == "healthy"
    failed = [it.record for it in desk.entries if isinstance(it.record, r.SleepFailed) and it.host == FIRST]
    assert failed and failed[0].is_never_sent


# -- after the command ------------------------------------------------------------------------------------------------


def asked(**settings: object) -> SavingDesk:
    """Return a desk whose first host was asked to shut down a moment ago."""
    desk = SavingDesk(**settings)  # type: ignore[arg-type]
    desk.until_asked()
    desk.switched(BMC)
    return desk


def test_beats_and_work_end_nothing_after_the_command_and_at_the_deadline_it_is_healthy() -> None:
    desk = asked()
    desk.live(SOFT_SECONDS - 30.0)
    assert FIRST in desk.going()
    desk.live(60.0)
    assert FIRST not in desk.going() and desk.is_now(FIRST) == "healthy"
    assert "retry_after" in rules(desk)
    sent = [it.record.what for it in desk.entries if it.host == FIRST and isinstance(it.record, r.StepStarted)]
    assert sent.count(What.SOFT_OFF) == 1 and What.OFF not in sent
    assert "host.fence_failed" not in desk.told


def test_a_silent_host_that_does_not_read_off_is_suspected_after_a_new_grace_and_not_before() -> None:
    desk = asked()
    desk.asleep.add(FIRST)
    desk.live(SOFT_SECONDS - 10.0)
    assert desk.is_now(FIRST) == "left"
    desk.live(20.0)
    assert desk.is_now(FIRST) in {"healthy", "suspect"}
    desk.live(60.0)
    assert "host.suspected" in desk.told


def test_one_reading_of_off_is_no_sleep() -> None:
    desk = asked()
    desk.asleep.add(FIRST)
    desk.go(6.0)
    desk.read(BMC, Power.OFF) if desk.waiting(c.ReadDevice, BMC) else desk.race(BMC, Power.OFF)
    assert desk.is_now(FIRST) != "sleeping"


def test_work_that_is_heard_after_the_command_is_announced_as_fenced_and_power_is_given_back() -> None:
    desk = asked()
    desk.work[FIRST] = 4
    desk.live(10.0)
    desk.obey(FIRST)
    desk.live(90.0)
    assert "host.fenced" in desk.told and "host.sleeping" not in desk.told
    whats = [it.record.what for it in desk.entries if it.host == FIRST and isinstance(it.record, r.StepStarted)]
    assert What.ON in whats


def test_a_refused_command_ends_it_at_once() -> None:
    desk = SavingDesk()
    desk.until_asked()
    desk.switched(BMC, Outcome.REFUSED)
    desk.live(5.0)
    assert FIRST not in desk.going() and "host.sleep_failed" in desk.told
    assert desk.fleet.hosts[FIRST].saving.soft_off is None


def test_an_on_waits_until_the_host_is_down() -> None:
    desk = asked()
    assert desk.ask(Action.ON, FIRST).startswith("accepted")
    desk.live(20.0)
    whats = [it.record.what for it in desk.entries if it.host == FIRST and isinstance(it.record, r.StepStarted)]
    assert What.ON not in whats and FIRST in desk.going()
    desk.obey(FIRST)
    desk.live(60.0)
    whats = [it.record.what for it in desk.entries if it.host == FIRST and isinstance(it.record, r.StepStarted)]
    assert What.ON in whats


def test_a_persons_off_takes_over() -> None:
    desk = asked()
    assert desk.cancel(FIRST).startswith("refused")
    assert desk.ask(Action.OFF, FIRST).startswith("accepted")
    desk.asleep.add(FIRST)
    desk.live(60.0)
    assert desk.fleet.hosts[FIRST].state is State.FENCED and desk.fleet.hosts[FIRST].is_stay_off
