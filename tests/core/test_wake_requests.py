"""Requests of the bus to wake hosts: obeyed once, answered with the hosts, refused as any other request."""

from dataclasses import replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.answers import Accepted, Answer, RefusedBy
from tests.core.saving_desk import SavingDesk

ACCEPTED = "daemon.accept_requests"


def asleep(**settings: object) -> tuple[SavingDesk, str]:
    desk = SavingDesk(**{"reserve": 0, ACCEPTED: ("wake",), **settings})  # type: ignore[arg-type]
    name = desk.put_to_sleep()
    desk.busy()
    return desk, name


def request(desk: SavingDesk, **changed: object) -> e.WakeRequest:
    asked = e.WakeRequest(
        cluster="c1", hosts=1, received=desk.now, is_retained=False, id="w-1", reason="a batch", by="slurm",
        sent_at=desk.now, reply_topic="answers/mine", correlation=b"7",
    )  # fmt: skip
    return replace(asked, **changed)  # type: ignore[arg-type]


def answer(desk: SavingDesk) -> Answer:
    """Return the one answer that is to be sent."""
    (reply,) = [it for it in desk.pending if isinstance(it, c.Reply)]
    desk.pending.remove(reply)
    assert (reply.host, reply.reply_topic, reply.correlation) == (None, "answers/mine", b"7")
    return reply.answer


def test_a_request_wakes_and_the_answer_names_the_hosts() -> None:
    desk, name = asleep()
    desk.do(request(desk, hosts=2))
    assert answer(desk) == Accepted(operation="", hosts=(name,), short=1)  # type: ignore[arg-type]
    assert desk.is_now(name) == "restoring"
    (wanted,) = [it.record for it in desk.entries if isinstance(it.record, r.WakeWanted)]
    assert (wanted.by, wanted.reason) == ("slurm", "a batch")


def test_the_same_id_gets_its_first_answer_and_wakes_nobody_else() -> None:
    desk, name = asleep()
    desk.do(request(desk))
    first = answer(desk)
    desk.boot(name)
    desk.live(120.0)
    desk.do(request(desk, hosts=5, cluster="c9"))
    assert answer(desk) == first
    assert len([it for it in desk.entries if isinstance(it.record, r.WakeWanted)]) == 1


def test_what_is_old_retained_unknown_or_not_accepted_is_refused() -> None:
    desk, name = asleep()
    refusals: list[tuple[dict[str, object], str]] = [
        ({"is_retained": True}, "retained"),
        ({"sent_at": desk.now - 61.0}, "stale"),
        ({"sent_at": desk.now + 61.0}, "stale"),
        ({"cluster": "c9"}, "cluster"),
    ]
    for number, (changed, rule) in enumerate(refusals):
        desk.do(request(desk, id=f"w-{number}", **changed))
        refused = answer(desk)
        assert isinstance(refused, RefusedBy) and refused.rule == rule, refused
    assert desk.is_now(name) == "sleeping"
    desk, name = asleep(**{ACCEPTED: ("on",)})
    desk.do(request(desk))
    refused = answer(desk)
    assert isinstance(refused, RefusedBy) and refused.rule == "accept_requests"
    assert desk.is_now(name) == "sleeping"


def test_it_passes_disarmed_and_pauses() -> None:
    desk, name = asleep()
    desk.do(e.PauseAsked(match="*", by="person", reason="a test", until=None))
    desk.do(e.ArmAsked(is_on=False, by="person", reason="a test"))
    desk.do(request(desk))
    assert answer(desk) == Accepted(operation="", hosts=(name,))  # type: ignore[arg-type]
    assert desk.is_now(name) == "restoring"
