"""The script's commands for requests of operators: `person ...`.

Knows the words, not their effects. The script goes on whether or not the daemon answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from fenced.core.decided.lines import lines
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action
from fenced.ports.control import Control, NotFound, Refused, Unavailable
from tests.golden import saving_words
from tests.golden.daemon_words import BadWords
from tests.world.rules.drills import FORCED
from tests.world.world import World

STANDBY: Final = " at the standby"
"""Ends a request that goes to a controller without the lease."""
PERSON_SECONDS: Final = 1.0
"""How long the script waits for an answer."""


class People:
    """`say` is called with every answer other than the expected one. `is_to_repeat`: the last request was not
    stored."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self._world, self._say = world, say
        self._asking: dict[asyncio.Task[None], None] = {}
        self.is_to_repeat = False
        self.zero = 0.0
        """When the story began, on the steady clock."""

    def leave(self) -> None:
        """Stop waiting for answers."""
        for task in list(self._asking):
            task.cancel()

    async def ask(self, rest: str) -> None:
        """Send a request. The story waits only a moment for it; a later refusal is shown when it comes."""
        asking = asyncio.create_task(self._ask(rest), name=f"person {rest}")
        self._asking[asking] = None
        asking.add_done_callback(lambda done: self._asking.pop(done, None))
        done, _ = await asyncio.wait({asking}, timeout=PERSON_SECONDS)
        for task in done:
            task.result()

    async def _ask(self, rest: str) -> None:
        self.is_to_repeat = False
        words, is_at_standby = rest.removesuffix(STANDBY), rest.endswith(STANDBY)
        engine = (self._world.standby if is_at_standby else self._world.daemon).engine
        if engine is None:
            self._say("finds no daemon")
            return
        control = engine.control
        try:
            match words.split():
                case ["off" | "on" | "restart" | "status" | "probe" as action, host]:
                    await self._act(host, Action(action), is_forced=False)
                case ["forces", action, host]:
                    await self._act(host, Action(action), is_forced=True)
                case ["cancels", host]:
                    state = self._world.engine.fleet.hosts.get(HostName(host))
                    operation = state.operation if state is not None else None
                    await control.cancel(operation.id if operation else OperationId("none"), by="person", reason="told")
                case ["drills", host]:
                    await control.drill(HostName(host), by="person", reason="told", is_forced=False)
                case ["forces", "a", "drill", "of", host]:
                    await control.drill(HostName(host), by="person", reason="told", is_forced=True)
                case ["confirms", host, "off"]:
                    await control.confirm_off(HostName(host), by="person", reason="told", is_forced=False)
                case ["maintains", host]:
                    await control.set_maintenance(HostName(host), by="person", reason="told", until=None)
                case ["hands", "back", host]:
                    await control.end_maintenance(HostName(host), by="person", reason="told")
                case ["pauses", match]:
                    await control.pause(match=match, by="person", reason="told", until=None)
                case ["resumes"]:
                    for pause in self._world.engine.fleet.state.pauses:
                        await control.end_pause(pause.id, by="person")
                case ["disarms"]:
                    await control.disarm(by="person", reason="told")
                case ["releases", "the", "store"]:
                    await control.release_store(by="person", reason="told")
                case ["releases", domain]:
                    storms = [view.storm for view in control.fleet().storms if view.storm.end is None]
                    found = [storm.id for storm in storms if storm.words == domain]
                    await control.release_storm(found[0] if found else domain, by="person", reason="told")
                case ["explains", host, *at]:
                    await self._explain(control, HostName(host), at)
                case ["arms"]:
                    await control.arm(by="person", reason="told")
                case others:
                    await self._ask_saving(control, others)
        except Refused as exc:
            self._say(f"is refused by {exc.rule}")
        except NotFound:
            self._say("finds nothing like that")
        except Unavailable:
            self.is_to_repeat = True
            self._say("is told that the store takes no writes")

    async def _explain(self, control: Control, host: HostName, at: Sequence[str]) -> None:
        """`explains HOST` or `explains HOST at 2:30`: the last decision up to then."""
        before = None
        if at:
            minutes, seconds = at[-1].split(":")
            before = self.zero + 60.0 * int(minutes) + float(seconds) + 0.001
        page = await control.decisions(host, before=before, limit=1, after=None)
        if not page.items:
            self._say(f"hears of no decision about {host}")
        for item in page.items:
            for line in lines(host, item.record):
                self._say(f"reads: {line}")

    async def _ask_saving(self, control: Control, words: Sequence[str]) -> None:
        answer = await saving_words.ask(control, words)
        if answer is None:
            raise BadWords(f"person {' '.join(words)!r}")
        if answer:
            self._say(answer)

    async def _act(self, host: str, action: Action, *, is_forced: bool) -> None:
        reason = FORCED if is_forced else "told"
        await self._world.control.act(HostName(host), action, by="person", reason=reason, is_forced=is_forced)
