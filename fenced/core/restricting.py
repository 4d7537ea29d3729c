"""Obeys words that another controller accepted while this one held the lease, or while nobody did.

They were accepted, so none can be refused any more. Each becomes the request that an operator would have made here.
"""

from collections.abc import Iterator
from typing import Final

from fenced.core import events as e
from fenced.core.durable.fleet_state import Words
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid, Restriction, Word
from fenced.core.fleet import Fleet

LOST: Final = "set again: the store had lost it"
AGAIN: Final = "fenced"
"""Who says again that the fleet is disarmed: who said it first is not kept."""
DISARMED_AGAIN: Final = DisarmSaid(by=AGAIN, reason=LOST)

Request = e.ArmAsked | e.PauseAsked | e.MaintenanceAsked


def pause_id(word_id: str, what: Restriction) -> str:
    """Return the id of the pause that a word sets: the controller that accepts the word names it at once."""
    return (what.id if isinstance(what, PauseSaid) else "") or f"p-{word_id}"


def requests_of(
    fleet: Fleet, words: tuple[Word, ...], now: float, *, is_recovered: bool = True
) -> Iterator[Request | e.Keyed]:
    """Yield what each word requests, in order. Decide each before the next one is taken: two may have the same key.

    `is_recovered`: as at MaintenanceAsked.
    """
    for word in words:
        if word.said.what == DISARMED_AGAIN and fleet.state.is_disarmed:
            continue  # each controller that knew it says so
        request, said = _request(fleet, word, now, is_recovered), word.said
        if said.key and not _has_another(fleet, said.key, said.content):
            yield e.Keyed(key=said.key, content=said.content, event=request)
        else:
            yield request


def lost_words(fleet: Fleet, words: Words, now: float) -> Iterator[Restriction]:
    """Yield what operators said, as a controller kept it, and the fleet's records lack (S22)."""
    if words.is_disarmed and not fleet.durable_state.is_disarmed:
        yield DISARMED_AGAIN
    known = {pause.id for pause in fleet.durable_state.pauses}
    for pause in words.pauses:
        if pause.id not in known and (pause.until is None or pause.until > now):
            yield PauseSaid(
                match=pause.match, by=pause.by, reason=pause.reason, seconds=_left(pause.until, now), id=pause.id
            )
    for host, by, reason, until in words.maintenance:
        is_known = host in fleet.hosts and fleet.durable(host).maintenance is not None
        if not is_known and (until is None or until > now):
            yield MaintenanceSaid(host=host, by=by, reason=f"{reason} ({LOST})", seconds=_left(until, now))


def _left(until: float | None, now: float) -> float | None:
    return None if until is None else until - now


def _request(fleet: Fleet, word: Word, now: float, is_recovered: bool) -> Request:
    match what := word.said.what:
        case DisarmSaid():
            return e.ArmAsked(is_on=False, by=what.by, reason=what.reason)
        case PauseSaid():
            return _pause(word, what.match, what, now)
        case MaintenanceSaid() if what.host in fleet.hosts:
            until = _until(word, what.seconds, now)
            return e.MaintenanceAsked(
                host=what.host, is_on=True, by=what.by, reason=what.reason, until=until, is_recovered=is_recovered
            )
        case MaintenanceSaid():  # only the inventory of the other controller has it; a pause needs no host
            return _pause(word, f"host={what.host}", what, now)


def _pause(word: Word, match: str, what: PauseSaid | MaintenanceSaid, now: float) -> e.PauseAsked:
    until = _until(word, what.seconds, now)
    return e.PauseAsked(
        match=match, by=what.by, reason=what.reason, until=until, id=pause_id(word.id, what), is_accepted=True
    )


def _until(word: Word, seconds: float | None, now: float) -> float | None:
    """Return the end on this controller's clock; now if it is over already."""
    return None if seconds is None else now + max(seconds - max(word.age_seconds, 0.0), 0.0)


def _has_another(fleet: Fleet, key: str, content: str) -> bool:
    """Return whether another request had this key. It would be refused at the API, but this one was accepted."""
    answered = fleet.state.answered(key)
    return answered is not None and answered.content != content
