"""What operators say at a controller without the lease, which only restricts: written there, looked for by the holder.

The holder's next batch is refused until it has folded the word (`Journal.append`). This look is only for a fleet in
which nothing else is to be written.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog

from fenced.core.durable.fleet_state import Pause, Words
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid, Restriction, Said
from fenced.core.fleet import Fleet
from fenced.core.fleet_decisions import answered_before, pause_refused
from fenced.core.restricting import lost_words, pause_id
from fenced.engine.beside import Beside
from fenced.engine.refusals import Refusal
from fenced.model.answers import Accepted, RefusedBy
from fenced.ports.clock import Clock
from fenced.ports.control import Refused, Standby, Unavailable
from fenced.ports.journal import Journal, StoreError, Word, WordsNotRead

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often the holder looks: a word is folded within a second."""
SHOWN_SECONDS: Final = 2.0
"""How long an answer waits until the word is folded and followed, so that it shows what it did."""
SHOWN_LOOK_SECONDS: Final = 0.1


class Unfolded(NamedTuple):
    """What was said here at that moment, and waits in the store."""

    what: Restriction
    at: float

    @property
    def until(self) -> float | None:
        """The end on this controller's clock."""
        if isinstance(self.what, DisarmSaid) or self.what.seconds is None:
            return None
        return self.at + self.what.seconds


class Restricting:
    """`where_active`: the address of the controller that holds the lease. `tell`: let the reactor read the words."""

    def __init__(
        self, *, fleet: Fleet, journal: Journal, clock: Clock, where_active: Callable[[], str | None],
        tell: Callable[[], None], beside: Beside | None = None,
    ) -> None:  # fmt: skip
        self._fleet, self._journal, self._clock = fleet, journal, clock
        self._where_active, self._tell, self._beside = where_active, tell, beside or Beside()
        self._unfolded: dict[str, Unfolded] = {}
        self._refusal = Refusal(partial(log.warning, "words_not_read", advice="each batch looks for them, too"))

    async def run(self) -> None:
        """Look for ever: at the holder for words, elsewhere whether those that were said here are folded."""
        while True:
            await asyncio.sleep(self._beside.pause(LOOK_SECONDS))
            if self._fleet.is_standby and not self._unfolded:
                continue
            try:
                self._look(await self._journal.words())
                self._refusal.over()
            except (StoreError, OSError) as exc:
                self._refusal.met(exc)

    def _look(self, words: Sequence[Word]) -> None:
        waiting = {word.id for word in words}
        for word_id in [each for each in self._unfolded if each not in waiting]:
            del self._unfolded[word_id]
        if waiting and not self._fleet.is_standby:
            self._tell()

    async def say(self, what: Restriction, *, key: tuple[str, str] | None) -> str:
        """Write a word; return the id of the pause that it sets. `key`: the caller's, and a digest of the request.

        From then on no batch becomes durable that it forbids. Raises Refused, Standby, Unavailable.
        """
        if key is not None and (answer := answered_before(self._fleet, *key)) is not None:
            if isinstance(answer, RefusedBy):
                raise Refused(answer.rule, answer.why)
            return answer.operation
        if isinstance(what, PauseSaid):
            refused = pause_refused(self._fleet, what.match, is_everywhere=bool(what.id))
            if refused is not None:
                raise Refused(refused.rule, refused.why)
        said = Said(what=what, key=key[0] if key else "", content=key[1] if key else "")
        at = self._clock.now()
        try:
            word_id = await self._journal.say(said, shards=(self._beside.shard,))
        except WordsNotRead as exc:
            raise Standby(self._where_active()) from exc
        except StoreError as exc:
            raise Unavailable(str(exc)) from exc
        log.warning("word_accepted", word=word_id, what=what.kind, by=what.by, reason=what.reason)
        self._unfolded[word_id] = Unfolded(what, at)
        await self._until_shown(word_id, what)
        return self._answer(said, word_id, what)

    async def say_lost(self, words: Callable[[], Words | None]) -> None:
        """Say once, at a standby, what operators said and the store lost: who decides may never have known it (S22).

        `words`: what they said; None as long as, or once, the store lacks nothing.
        """
        said: set[Restriction] = set()
        while (lost := words()) is not None:
            try:
                for what in lost_words(self._fleet, lost, self._clock.now()):
                    if what not in said:
                        word_id = await self._journal.say(Said(what=what), shards=(self._beside.shard,))
                        said.add(what)
                        log.warning("lost_word_said_again", word=word_id, what=what.kind, reason=what.reason)
            except (StoreError, OSError) as exc:  # includes WordsNotRead: a program that knows no words holds the lease
                self._refusal.met(exc)
            else:
                return
            await asyncio.sleep(self._beside.pause(LOOK_SECONDS))

    async def pause(self, what: PauseSaid, *, key: tuple[str, str] | None) -> Pause:
        """Set a pause, as `say` does; return it as it is followed, or else as it was said."""
        at = self._clock.now()
        name = await self.say(what, key=key)
        for pause in self._fleet.durable_state.pauses:
            if pause.id == name:
                return pause
        return _pause(name, what, Unfolded(what, at))

    async def _until_shown(self, word_id: str, what: Restriction) -> None:
        end = self._clock.now() + SHOWN_SECONDS
        while not self._is_shown(word_id, what):
            if self._clock.now() >= end:
                return
            await asyncio.sleep(SHOWN_LOOK_SECONDS)
        self._unfolded.pop(word_id, None)

    def _is_shown(self, word_id: str, what: Restriction) -> bool:
        state = self._fleet.durable_state
        match what:
            case DisarmSaid():
                return state.is_disarmed
            case PauseSaid():
                return any(pause.id == pause_id(word_id, what) for pause in state.pauses)
            case MaintenanceSaid():
                found = self._fleet.durable(what.host).maintenance if what.host in self._fleet.hosts else None
                return found is not None and (found.by, found.reason) == (what.by, what.reason)

    def _answer(self, said: Said, word_id: str, what: Restriction) -> str:
        """Return the pause of the word. A request that was obeyed before, and followed only now, has another one."""
        match answered_before(self._fleet, said.key, said.content) if said.key else None:
            case Accepted(operation=operation) if operation:
                return operation
            case _:
                return pause_id(word_id, what)

    # -- what waits ---------------------------------------------------------------------------------------------------

    @property
    def is_disarmed(self) -> bool:
        """Whether a disarm waits."""
        return any(isinstance(it.what, DisarmSaid) for it in self._unfolded.values())

    def pauses(self) -> tuple[Pause, ...]:
        """Return the pauses that wait, as they will be."""
        followed = {pause.id for pause in self._fleet.durable_state.pauses}
        said = ((pause_id(word_id, it.what), it) for word_id, it in self._unfolded.items())
        return tuple(
            _pause(name, it.what, it) for name, it in said if isinstance(it.what, PauseSaid) and name not in followed
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what waits, for people."""
        found = (f"{it.what.kind.removesuffix('_said')} by {it.what.by}" for it in self._unfolded.values())
        told = ", ".join(sorted(set(found)))
        return (f"in force, and waiting for a controller that acts to record it: {told}",) if told else ()

    def added_to(self, words: Words) -> Words:
        """Add what waits, for a store that loses it (S22)."""
        maintenance = tuple(
            (it.what.host, it.what.by, it.what.reason, it.until)
            for it in self._unfolded.values()
            if isinstance(it.what, MaintenanceSaid)
        )
        return Words(
            is_disarmed=words.is_disarmed or self.is_disarmed,
            pauses=(*words.pauses, *self.pauses()),
            maintenance=(*words.maintenance, *maintenance),
        )


def _pause(name: str, what: PauseSaid, said: Unfolded) -> Pause:
    return Pause(id=name, match=what.match, by=what.by, reason=what.reason, since=said.at, until=said.until)
