"""The truth of the virtual data centre: plugs, the machines they feed, and every way in which both go wrong.

It knows nothing of the daemon. Its one rule: a machine runs only while it has power, and nothing but a plug gives it power.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from fenced.model.names import BootId, DeviceName, HostName, PlugId
from fenced.model.power import Kind, Power
from tests.world.manners import Manner

FAR_SECONDS: Final = 0.4
"""What a unit of nobody takes to answer: so long that another path is asked too, so short that it may still win."""


class Run(Enum):
    """What a machine does."""

    OFF = "off"
    BOOTING = "booting"
    RUNNING = "running"
    DEAD = "dead"


LAST_MOMENT_SECONDS: Final = 0.001


@dataclass(slots=True, kw_only=True)
class Plug:
    """One outlet or BMC. `is_on` is the truth; the fields below it are faults, which a test sets and takes away.

    `read_seconds`, `set_seconds`: how long a call takes; a command acts at the end of its time. `is_starting`: it has just
    booted, says OFF whatever is true, and does nothing for a host that it takes to be off: no lie, but the reason to let it
    settle. `wrong_through`: proxies by which another machine answers at its address. `unanswered_through`: proxies that reach it
    and get no answer.

    `late_seconds`: it acts so long after it took a command; no lie within its `settle`. `shows_turning`: and says UNKNOWN then.
    `early_seconds`: so long it says OFF before it is. `is_between`: a command leaves it "on its way" until it is mended.
    `flaps`: every other reading is UNKNOWN. `refuses_repeated`: OFF is an error when it is off. `is_dummy`: it reads what it
    was told and does nothing. `stays_off`: once it is off no ON helps. `wired`: the plug that it really is, where two labels
    were swapped. `strays`: by proxy, the other unit that its address leads to through it (private networks that look alike);
    `has_strayed`: there was one. `is_forgotten`: no device of the inventory stands for it.
    `identities`: which machine it says that it belongs to, where it is asked.
    """

    device: DeviceName
    plug_id: PlugId
    kind: Kind
    machine: "Machine"
    is_on: bool = True
    read_seconds: float = 0.1
    set_seconds: float = 1.0
    is_fed_by_outlets: bool = False

    is_unreachable: bool = False
    fails: bool = False
    sticks: bool = False
    is_answer_lost: bool = False
    says: Power | None = None
    is_miswired: bool = False
    has_lied: bool = False
    is_not_ready: bool = False
    is_starting: bool = False
    is_seen_away: bool = False
    is_unseen: bool = False
    wrong_through: frozenset[str] = frozenset()
    unreachable_through: frozenset[str] = frozenset()
    unanswered_through: frozenset[str] = frozenset()
    late_seconds: float = 0.0
    shows_turning: bool = False
    early_seconds: float = 0.0
    is_between: bool = False
    flaps: bool = False
    refuses_repeated: bool = False
    is_dummy: bool = False
    stays_off: bool = False
    told: Power | None = None
    wired: "Plug | None" = None
    strays: "dict[str, Plug]" = field(default_factory=dict)
    has_strayed: bool = False
    is_forgotten: bool = False
    identities: tuple[str, ...] = ()
    reads: int = 0
    turning: int = 0

    def lie(self, power: Power | None) -> None:
        """From now on it says this whatever is true; None: it says the truth again."""
        self.says, self.has_lied = power, self.has_lied or power is not None

    def miswire(self) -> None:
        """It feeds another machine: it does and says what it is told, and the host does not care."""
        self.is_miswired = self.has_lied = True

    def swap(self, other: "Plug") -> None:
        """Somebody took the one for the other when the labels were written: each switches the other's host, and says so."""
        self.wired, other.wired = other, self
        self.has_lied = other.has_lied = True

    def stray(self, path: str, other: "Plug") -> None:
        """Through that proxy its address leads to another unit from now on, which is read and switched in its place."""
        self.strays[path] = other
        self.has_strayed = self.has_lied = True

    def at(self, path: str) -> "Plug":
        """The unit that answers at its address through that proxy."""
        return self.strays.get(path, self)

    def act_late(self, seconds: float, *, settle_seconds: float, shows_turning: bool) -> None:
        """From now on it acts so long after it took a command. Longer than it is configured to: nobody can know.
        Its last moment comes before that in which its `settle` is over, not with it."""
        self.late_seconds, self.shows_turning = max(0.0, seconds - LAST_MOMENT_SECONDS), shows_turning
        self.has_lied = self.has_lied or seconds > settle_seconds

    def read_early(self, seconds: float) -> None:
        """From now on it says OFF as soon as it is told to, and is off so many seconds later."""
        self.early_seconds, self.has_lied = seconds, True

    def be_dummy(self) -> None:
        """From now on it does nothing, and says what it was told."""
        self.is_dummy = self.has_lied = True

    def mend(self) -> None:
        """It is as it should be; swapped labels stay swapped, and what it has said cannot be taken back."""
        self.fails = self.is_unreachable = self.sticks = self.is_answer_lost = False
        self.is_between = self.flaps = self.refuses_repeated = self.is_dummy = self.stays_off = False
        self.lie(None)
        self.told = None
        self.wrong_through = self.unreachable_through = self.unanswered_through = frozenset()
        self.strays = {}
        self.set_seconds, self.read_seconds = 1.0, 0.1
        self.late_seconds = self.early_seconds = 0.0
        self.shows_turning = False
        self.turning = 0

    def refuses(self, power: Power) -> bool:
        """Whether it answers a command with an error, and does nothing."""
        return self.fails or (self.refuses_repeated and self.is_on is (power is Power.ON))

    def begin_turning(self) -> None:
        """It took a command that it has not carried out."""
        self.turning += self.shows_turning or self.is_between

    def end_turning(self) -> None:
        """It carries it out."""
        self.turning = max(0, self.turning - 1)

    def restart(self, *, away_seconds: float, starting_seconds: float) -> None:
        """It boots: away first, then it answers before it knows its host."""
        loop = asyncio.get_running_loop()
        self.is_unreachable = self.is_starting = True
        self.is_seen_away = False
        loop.call_later(away_seconds, self._answer_again)
        loop.call_later(away_seconds + starting_seconds, self._started)

    def mislead_unseen(self) -> None:
        """It says OFF while it boots, and nobody asked it while it was away: nobody can know that it boots."""
        self.is_unseen = self.has_lied = True

    def _answer_again(self) -> None:
        self.is_unreachable = False

    def _started(self) -> None:
        self.is_starting = self.is_not_ready = False

    @property
    def is_answering(self) -> bool:
        """A BMC that is fed by the host's outlets dies with them."""
        return (
            self.machine.has_mains
            and not self.is_unreachable
            and not (self.is_fed_by_outlets and not self.machine.is_fed)
        )

    def read(self) -> Power:
        self.reads += 1
        if self.says is not None:
            return self.says
        if self.is_starting:
            return Power.OFF
        if self.told is not None:
            return self.told
        if self.turning or (self.flaps and self.reads % 2):
            return Power.UNKNOWN
        plug = self.wired or self
        is_dark = plug.kind is Kind.CHASSIS and not plug.machine.is_fed
        return Power.ON if plug.is_on and not is_dark else Power.OFF

    def switch(self, power: Power) -> None:
        """What a command does when its time has come."""
        if self.sticks or self.is_starting or (self.stays_off and power is Power.ON):
            return
        if self.is_dummy:
            self.told = power
        elif self.is_between:
            self.begin_turning()
        elif self.early_seconds and power is Power.OFF:
            self.told = power
            asyncio.get_running_loop().call_later(self.early_seconds, self._catch_up, power)
        else:
            (self.wired or self).turn(power)

    def _catch_up(self, power: Power) -> None:
        """What it said long ago comes true, if nothing else was told it since."""
        if self.told is power:
            self.told = None
            self.turn(power)

    def turn(self, power: Power) -> None:
        """Really change, by whatever cause."""
        was, self.is_on = self.is_on, power is Power.ON
        if was is not self.is_on:
            self.machine.plug_changed(self)


@dataclass(slots=True, kw_only=True)
class Machine:
    """A host of flesh and blood. `tell` hears what happens to it, in a few words.

    `is_mute`: its reporter is dead. `manner`: how that spells its messages. `is_cut_off`: it runs, and its network leads nowhere.
    `is_hung`: it does nothing now and may go on any moment, with the same boot id.
    `is_meddled`: somebody else touched its power; from then on the daemon can't answer for it.
    `is_unasked`: what the daemon asks it does not arrive; its messages do. `riders`: told whether what runs on it runs.
    `former`: plugs by names that they had; `edited_at`: when what the inventory says of its devices last changed.
    `is_split`: the inventory has its feeds on more than one level, as if the outlets of one were all its power.
    """

    name: HostName
    address: str
    tell: Callable[["Machine", str], None]
    boot_seconds: float = 40.0
    interval: float = 5.0
    plugs: dict[DeviceName, Plug] = field(default_factory=dict)
    does: Run = Run.RUNNING
    boots: int = 1
    beats: int = 0
    is_mute: bool = False
    manner: Manner = Manner.PLAINLY
    is_cut_off: bool = False
    former: dict[DeviceName, Plug] = field(default_factory=dict)
    edited_at: float = 0.0
    is_split: bool = False
    is_hung: bool = False
    is_stopping: bool = False
    is_meddled: bool = False
    is_unasked: bool = False
    has_mains: bool = True
    riders: list[Callable[[bool], None]] = field(default_factory=list)
    _booting: asyncio.TimerHandle | None = None

    @property
    def liars(self) -> int:
        """How many things about its devices are not as the inventory says, now or when they were last believed."""
        return self.is_split + sum(plug.has_lied or plug.is_forgotten for plug in self.plugs.values())

    def plug(self, name: DeviceName) -> Plug:
        """By the name that it has, or had."""
        return self.plugs[name] if name in self.plugs else self.former[name]

    @property
    def boot(self) -> BootId:
        return BootId(f"{self.name}#{self.boots}")

    @property
    def is_fed(self) -> bool:
        """An outlet that feeds it is on; a machine without outlets, or with a feed that nobody knows of, is always fed."""
        outlets = [plug for plug in self.plugs.values() if plug.kind is Kind.OUTLET]
        return self.has_mains and (not outlets or any(plug.is_on or plug.is_miswired for plug in outlets))

    @property
    def is_powered(self) -> bool:
        """Fed, and its chassis (if it has one) is on."""
        return self.is_fed and all(plug.is_on for plug in self.plugs.values() if plug.kind is Kind.CHASSIS)

    @property
    def is_running(self) -> bool:
        """Able to do harm: running, or hung and able to go on."""
        return self.does is Run.RUNNING

    @property
    def is_beating(self) -> bool:
        is_able = self.does is Run.RUNNING and not self.is_hung and not self.is_stopping
        return is_able and not self.is_mute and not self.is_cut_off

    @property
    def is_answering(self) -> bool:
        """Whether its kernel answers at its address."""
        return self.does is Run.RUNNING and not self.is_hung

    def die(self) -> None:
        """The kernel is dead; the power is on. One that does not run has no kernel to die."""
        if self.does is Run.RUNNING:
            self.does = Run.DEAD
            self._carry(is_up=False)

    def reboot(self) -> None:
        """By itself or by somebody's hand; one without power can't."""
        if self.is_powered:
            self.does = Run.OFF
            self._carry(is_up=False)
            self.start()

    def plug_changed(self, plug: Plug) -> None:
        self.tell(self, f"{plug.device} goes {'ON' if plug.is_on else 'OFF'}")
        if self.is_powered and self.does is Run.OFF:
            self.start()
        elif not self.is_powered and self.does is not Run.OFF:
            self._lose_power()

    def lose_mains(self) -> None:
        """The feed is gone: the machine and its BMC with it."""
        self.has_mains = False
        if self.does is not Run.OFF:
            self._lose_power()

    def get_mains(self, *, on_after_seconds: float) -> None:
        """The feed is back: its BMC answers at once and keeps the host off for its power restore delay."""
        self.has_mains = True
        for plug in self.plugs.values():
            if plug.kind is Kind.CHASSIS:
                plug.is_on = False
                asyncio.get_running_loop().call_later(on_after_seconds, self._start_by_itself, plug)

    def _start_by_itself(self, plug: Plug) -> None:
        """Its firmware switches it on, whatever anybody was told meanwhile: nobody could know."""
        self.is_meddled = self.is_meddled or not plug.is_on
        plug.turn(Power.ON)

    def _carry(self, *, is_up: bool) -> None:
        for tell in self.riders:
            tell(is_up)

    def _lose_power(self) -> None:
        self.does = Run.OFF
        self._carry(is_up=False)
        if self._booting is not None:
            self._booting.cancel()
            self._booting = None
        self.tell(self, "is without power")

    def start(self) -> None:
        """Power came (or a reset): boot with a new boot id."""
        self.does = Run.BOOTING
        self.is_mute = self.is_hung = self.is_stopping = False
        self.tell(self, "has power")
        self._booting = asyncio.get_running_loop().call_later(self.boot_seconds, self._run)

    def _run(self) -> None:
        self._booting = None
        self.does = Run.RUNNING
        self.boots += 1
        self.beats = 0
        self._carry(is_up=True)
        self.tell(self, f"runs, boot {self.boots}")


def stranger(plug: Plug, *, is_on: bool, read_seconds: float = FAR_SECONDS) -> Plug:
    """A unit of the same kind elsewhere, further away unless it is said, with a machine on it that nobody looks after."""
    machine = Machine(name=HostName("stranger"), address="", tell=lambda machine, text: None)
    unit = Plug(
        device=plug.device,
        plug_id=plug.plug_id,
        kind=plug.kind,
        machine=machine,
        is_on=is_on,
        read_seconds=read_seconds,
    )
    machine.plugs[unit.device] = unit
    return unit
