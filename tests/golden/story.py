"""Parses, plays and rewrites a story: a fleet, a script of what happens when, and what must follow.

A file has a free text, then `fleet`, `script` and `expected`, each at the start of a line with its lines indented below
it. In the expectation, `*` is the script, `~` the true state of a machine, `bus` what was published; all else is the
journal.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fenced.config.digest import digest
from fenced.core import events as e
from fenced.core.durable.records import Entry
from fenced.model.names import HostName
from fenced.model.power import Power
from fenced.ports.bus import Message
from tests.golden import faults, saving_words
from tests.golden.daemon_words import DaemonWords
from tests.golden.fleet import BadStory, rack_of
from tests.golden.people import People
from tests.golden.telling import Teller, summary
from tests.world.loop import run
from tests.world.manners import Manner
from tests.world.rack import Rack
from tests.world.world import World

TOLD_ON_BUS = ("fenced", "revoked", "restored", "redundancy_lost", "restore_failed", "left_off", "fence_failed",
               "contradiction", "rebooted", "wrong_machine", "fenceable_changed", "distrusted", "trusted")  # fmt: skip
"""Host events that a story shows when they reach the broker; the others follow their records at once."""
DECIDING = "decisions are told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`head`: the text before the expectation, verbatim; `script`: (second, words). `is_deciding`: the fleet says
    "decisions are told"."""

    path: Path
    head: str
    rack: Rack
    script: tuple[tuple[float, str], ...]
    expected: tuple[str, ...]
    is_deciding: bool = False


def read(path: Path) -> Story:
    """Parse a story. Raises BadStory."""
    head, separator, tail = path.read_text().partition("\nexpected\n")
    fleet: list[str] = []
    script: list[str] = []
    into: list[str] | None = None
    for line in head.splitlines():
        if line.strip() in {"fleet", "script"} and not line.startswith(" "):
            into = fleet if line.strip() == "fleet" else script
        elif line.startswith(" ") and line.strip() and into is not None:
            into.append(line.strip())
    if not separator or not script:
        raise BadStory(f"{path.name}: a story has `fleet`, `script` and `expected`")
    return Story(
        path=path,
        head=head,
        rack=rack_of(line for line in fleet if line != DECIDING),
        is_deciding=DECIDING in fleet,
        script=tuple(moment(line) for line in script),
        expected=tuple(line.strip() for line in tail.splitlines() if line.strip()),
    )


def write(story: Story, lines: list[str]) -> None:
    """Write the story with a new expectation."""
    body = "".join(f"  {line}\n" for line in lines)
    story.path.write_text(f"{story.head}\nexpected\n{body}")


def moment(line: str) -> tuple[float, str]:
    at, _, words = line.partition(" ")
    return seconds_of(at), words.strip()


def seconds_of(text: str) -> float:
    """Convert `[h:]m:s` to seconds. Raises BadStory."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError as exc:
        raise BadStory(f"{text!r} is no time like 2:30 or 1:02:30") from exc
    total = 0.0
    for part in parts:
        total = 60 * total + part
    return total


def shown(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


# -- playing ----------------------------------------------------------------------------------------------------------


class Play:
    """One run of a story. `lines`: what happened, in order."""

    def __init__(self, story: Story, *, is_journal_checked: bool = True) -> None:
        self._story = story
        self.lines: list[str] = []
        self._teller = Teller(is_deciding=story.is_deciding)
        self._seen = 0
        self._shown: set[str] = set()
        """Hosts of which the bus shows what the script put there."""
        self.world = World(
            story.rack, told=lambda name, text: self._say("~", f"{name} {text}"), is_journal_checked=is_journal_checked
        )
        self.world.files.digest = digest if story.is_deciding else lambda _: ""
        self.people = People(self.world, lambda text: self._say("person", text))
        self._daemons = DaemonWords(self.world, lambda text: self._say("*", text))
        published = self.world.broker.on_published
        self._published = published
        self.world.broker.on_published = self._on_published

    def _say(self, who: str, text: str) -> None:
        self._catch_up()
        self._line(asyncio.get_running_loop().time(), who, text)

    def _line(self, at: float, who: str, text: str) -> None:
        self.lines.append(f"{shown(at):>9}  {who:<7} {text}".strip())

    def _catch_up(self) -> None:
        """Add the records that became durable since the last call."""
        durable = self.world.journal.durable
        for number in range(self._seen + 1, durable.sequence + 1):
            entry = durable.entries.get(number)
            if entry is not None:
                self._tell(entry)
        self._seen = durable.sequence

    def _tell(self, entry: Entry) -> None:
        text = self._teller.tell(entry.host, entry.record)
        if text is not None and not text.startswith("HEARD (first)"):
            self._line(entry.at - self._zero, str(entry.host or "fleet"), text)

    def _on_published(self, message: Message) -> None:
        self._published(message)
        topic = message.topic.rpartition("/")[2]
        if "/state/" in message.topic and topic in self._shown:
            self._shown.remove(topic)
            self._say("bus", f"{topic} is shown {json.loads(message.payload)['state']}")
        if "/event/" not in message.topic:
            return
        event = json.loads(message.payload)
        word = event["type"].rpartition(".")[2]
        if word in TOLD_ON_BUS and event["type"].startswith("io.fenced.host."):
            self._say("bus", f"{event['subject']} {word}")

    async def run(self) -> list[str]:
        """Play the story. Raises AssertionError with what the checker found, after the whole script."""
        self._zero = self.people.zero = self.world.clock.now()
        self.world.begin()
        loop = asyncio.get_running_loop()
        for at, words in self._story.script:
            await asyncio.sleep(max(at - loop.time(), 0.0))
            self._say("*", words)
            if words == "end":
                break
            await self._do(words)
        self._catch_up()
        self.people.leave()
        states = self.world.engine.fleet.hosts.values()
        self.lines += [
            f"at the end {state.name} is {summary(state)}" for state in states if not _is_calm(summary(state))
        ]
        await self.world.end()
        return self.lines

    # -- the script's commands ----------------------------------------------------------------------------------------

    async def _do(self, words: str) -> None:
        """Run one line of the script. The checker compares the world before and after the line."""
        self.world.checker.look()
        await self._obey(words)
        self.world.checker.look()

    async def _obey(self, words: str) -> None:
        subject, _, rest = words.partition(" ")
        if subject in self._subjects:
            await self._subjects[subject](rest)
        elif HostName(subject) in self.world.machines:
            self._machine(subject, rest)
        else:
            raise BadStory(f"{self._story.path.name}: {words!r}")

    @property
    def _subjects(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        return {
            "daemon": self._daemons.daemon,
            "store": self._daemons.store,
            "bus": self._bus,
            "link": self._link,
            "post": self._post,
            "proxy": self._proxy,
            "observer": self._observer,
            "plug": self._plug,
            "person": self.people.ask,
            "lease": self._lease,
            "inventory": self._inventory,
            "evidence": self._evidence,
            "own": self._own,
            "all": self._all,
        }

    async def _all(self, rest: str) -> None:
        """`all but A B: WORDS` or `all: WORDS`: the same to many hosts."""
        but, _, words = rest.partition(": ")
        spared = but.removeprefix("but ").split()
        for name in self.world.machines:
            if name not in spared:
                self._machine(str(name), words)

    async def _bus(self, rest: str) -> None:
        broker = self.world.broker
        match rest.split():
            case ["lost"]:
                broker.set_up(False)
            case ["back"]:
                broker.set_up(True)
            case ["refuses"]:
                broker.is_refusing = True
            case ["takes"]:
                broker.is_refusing = False
            case ["acknowledges", "after", seconds]:
                broker.acknowledge_seconds = float(seconds)
            case what:
                if what[0] == "shows":
                    self._shown.add(what[1])
                if not faults.bus(self.world, what):
                    raise BadStory(f"bus {rest!r}")

    async def _lease(self, rest: str) -> None:
        """`lost`: the daemon loses the lease, and renews it at the next round."""
        if rest != "lost":
            raise BadStory(f"lease {rest!r}")
        self.world.engine.reactor.deliver(e.LeaseLost(why="told"))

    async def _inventory(self, rest: str) -> None:
        """`HOST WHAT`: an edit of the files, which the next start of a daemon reads."""
        host, *what = rest.split()
        if not self.world.files.edit(HostName(host), what):
            raise BadStory(f"inventory {rest!r}")

    async def _own(self, rest: str) -> None:
        """`loop SECONDS bus SECONDS`: what the daemon that acts measures of itself now."""
        match rest.split():
            case ["loop", lag, "bus", waited]:
                self.world.measure_itself(float(lag), float(waited))
            case _:
                raise BadStory(f"own {rest!r}")

    async def _evidence(self, rest: str) -> None:
        """`SOURCE ...`: another system says something of the hosts."""
        if not self.world.sources.obey(rest):
            raise BadStory(f"evidence {rest!r}")

    async def _link(self, rest: str) -> None:
        """The daemon's own network: connections stay open, but nothing comes through."""
        self.world.wires.is_cut = rest == "cut"
        self.world.broker.set_cut(rest == "cut")

    async def _post(self, rest: str) -> None:
        if not faults.post(self.world, rest.split()):
            raise BadStory(f"post {rest!r}")

    async def _proxy(self, rest: str) -> None:
        name, *what = rest.split()
        if not faults.proxy(self.world, name, what):
            raise BadStory(f"proxy {rest!r}")

    async def _observer(self, rest: str) -> None:
        name, *what = rest.split()
        if not faults.observer(self.world, name, what):
            raise BadStory(f"observer {rest!r}")

    async def _plug(self, rest: str) -> None:
        host, device, *what = rest.split()
        plug = self.world.plug(host, device)
        match what:
            case ["fails"]:
                plug.fails = True
            case ["unreachable"]:
                plug.is_unreachable = True
            case ["sticks"]:
                plug.sticks = True
            case ["says", power]:
                plug.lie(Power(power))
            case ["feeds", "another", "machine"]:
                plug.miswire()
            case ["slow", seconds]:
                plug.set_seconds = float(seconds)
            case ["loses", "answers"]:
                plug.is_answer_lost = True
            case ["read", "in", seconds]:
                plug.read_seconds = float(seconds)
            case ["restarts", "away", away, "starting", starting]:
                plug.restart(away_seconds=float(away), starting_seconds=float(starting))
            case ["restarts", "not", "ready", not_ready]:
                plug.restart(away_seconds=0.0, starting_seconds=float(not_ready))
                plug.is_not_ready = True
            case ["answers", "for", "another", "machine", *through]:
                plug.wrong_through = frozenset(through[1:] or self.world.paths)
            case ["works"]:
                plug.mend()
            case ["turned", power]:
                plug.machine.is_meddled = True
                plug.turn(Power(power))
            case _:
                if not faults.plug(self.world, plug, what):
                    raise BadStory(f"plug {rest!r}")

    def _machine(self, name: str, rest: str) -> None:
        machine, world = self.world.machine(name), self.world
        match rest.split():
            case ["dies"]:
                machine.die()
            case ["falls", "mute"]:
                machine.is_mute = True
            case ["speaks"]:
                machine.is_mute = False
            case ["speaks", *how]:
                machine.manner = Manner(" ".join(how))
            case ["hangs"]:
                machine.is_hung = True
            case ["wakes"]:
                machine.is_hung = False
                if machine.is_beating:
                    world.say(name)
            case ["reboots"]:
                machine.reboot()
            case ["beats"]:
                world.say(name)
            case ["beats", "as", "boot", boot]:
                world.say(name, boot=int(boot))
            case ["says", "stopping"]:
                world.say(name, e.HealthStatus.STOPPING)
                machine.is_stopping = True
            case ["says", "failing"]:
                world.say(name, e.HealthStatus.FAILING)
            case ["writes", "to", "storage", "for", seconds]:
                world.sources.say("san", name, "storage_lease", seconds=float(seconds))
            case ["last", "will"]:
                now = world.clock.now()
                world.post.send(e.Presence(host=machine.name, received=now, is_retained=False, is_online=False))
            case ["loses", "mains"]:
                machine.lose_mains()
            case ["gets", "mains,", "on", "after", seconds]:
                machine.get_mains(on_after_seconds=float(seconds))
            case ["is", "cut", "off"]:
                machine.is_cut_off = True
            case ["is", "back"]:
                machine.is_cut_off = False
            case ["can't", "be", "asked"]:
                machine.is_unasked = True
            case ["can", "be", "asked"]:
                machine.is_unasked = False
            case ["loses", "network", network]:
                machine.cut_networks.add("" if network == "address" else network)
            case ["gets", "network", network]:
                machine.cut_networks.discard("" if network == "address" else network)
            case ["gone", "for", "good"]:
                machine.die()
                machine.is_meddled = True
            case what:
                if not (faults.polling(world, name, what) or saving_words.machine(machine, what)):
                    raise BadStory(f"{name} {rest!r}")


def _is_calm(words: str) -> bool:
    return words == "healthy"


def play(story: Story, watch: Callable[[World], Callable[[], None]] | None = None) -> list[str]:
    """Play a story; return everything that happens. Call `watch` with the world before, and what it returns after."""

    async def main() -> list[str]:
        playing = Play(story)
        finish = watch(playing.world) if watch is not None else None
        lines = await playing.run()
        if finish is not None:
            finish()
        return lines

    return run(main())
