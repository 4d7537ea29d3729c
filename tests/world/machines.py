"""The truth of the virtual data centre: plugs, the machines that they feed, and all the ways in which both fail.

Knows nothing of the daemon. A machine runs only while it has power, and only plugs give it power.
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
"""The response time of a stray unit: slow enough that another path is read, too, fast enough that it may still win."""


class Run(Enum):
    """What a machine does."""

    OFF = "off"
    BOOTING = "booting"
    RUNNING = "running"
    DEAD = "dead"


LAST_MOMENT_SECONDS: Final = 0.001


@dataclass(slots=True, kw_only=True)
class Plug:
    """One outlet or BMC. `is_on` is the truth; the fields below it are faults, which a test sets and removes.

    `read_seconds`, `set_seconds`: how long a call takes; a command acts at the end of that time. `is_starting`: it has
    just booted, reads OFF regardless of the truth, and does nothing for a host that it believes off; no lie, but the
    reason for settle times. `wrong_through`: proxies through which another machine answers at its address.
    `unanswered_through`: proxies that reach it but get no answer.

    `late_seconds`: it acts this long after it accepted a command; no lie within its `settle`. `shows_turning`: it reads
    UNKNOWN meanwhile. `early_seconds`: it reads OFF this long before it is off. `is_between`: after a command it is "on
    its way" until it is mended. `flaps`: every other reading is UNKNOWN. `refuses_repeated`: OFF is an error if it is
    off. `is_dummy`: it reads what was commanded and does nothing. `stays_off`: once off, ON has no effect. `wired`: the
    plug that it really is, if two labels were swapped. `strays`: by proxy, the other unit to which its address leads
    through that proxy (private networks with the same addresses); `has_strayed`: there was one. `is_forgotten`: no
    device of the inventory describes it. `identities`: the machine identities that it reports on request.
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
        """Make it read this, whatever is true; None: make it tell the truth again."""
        self.says, self.has_lied = power, self.has_lied or power is not None

    def miswire(self) -> None:
        """Make it feed another machine: it acts and reads as commanded, without any effect on the host."""
        self.is_miswired = self.has_lied = True

    def swap(self, other: "Plug") -> None:
        """Swap the labels of two plugs: each switches and reads the other's host."""
        self.wired, other.wired = other, self
        self.has_lied = other.has_lied = True

    def stray(self, path: str, other: "Plug") -> None:
        """Let its address lead to another unit through that proxy; that one is read and switched instead."""
        self.strays[path] = other
        self.has_strayed = self.has_lied = True

    def at(self, path: str) -> "Plug":
        """Return the unit that answers at its address through that proxy."""
        return self.strays.get(path, self)

    def act_late(self, seconds: float, *, settle_seconds: float, shows_turning: bool) -> None:
        """Make it act this long after it accepts a command. If that is longer than configured, no daemon can know.
        The last moment at which it acts is before the end of its `settle`, not at it."""
        self.late_seconds, self.shows_turning = max(0.0, seconds - LAST_MOMENT_SECONDS), shows_turning
        self.has_lied = self.has_lied or seconds > settle_seconds

    def read_early(self, seconds: float) -> None:
        """Make it read OFF as soon as that is commanded, and be off so many seconds later."""
        self.early_seconds, self.has_lied = seconds, True

    def be_dummy(self) -> None:
        """Make it do nothing, and read what was commanded."""
        self.is_dummy = self.has_lied = True

    def mend(self) -> None:
        """Remove its faults. Swapped labels stay swapped, and earlier lies stay told."""
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
        """Return whether it answers a command with an error and does nothing."""
        return self.fails or (self.refuses_repeated and self.is_on is (power is Power.ON))

    def begin_turning(self) -> None:
        """It accepted a command but has not carried it out yet."""
        self.turning += self.shows_turning or self.is_between

    def end_turning(self) -> None:
        """It carries the command out."""
        self.turning = max(0, self.turning - 1)

    def restart(self, *, away_seconds: float, starting_seconds: float) -> None:
        """Reboot it: first it is unreachable, then it answers before it knows its host."""
        loop = asyncio.get_running_loop()
        self.is_unreachable = self.is_starting = True
        self.is_seen_away = False
        loop.call_later(away_seconds, self._answer_again)
        loop.call_later(away_seconds + starting_seconds, self._started)

    def mislead_unseen(self) -> None:
        """Make it read OFF while it boots. Nobody read it while it was away, so no daemon can know that it boots."""
        self.is_unseen = self.has_lied = True

    def _answer_again(self) -> None:
        self.is_unreachable = False

    def _started(self) -> None:
        self.is_starting = self.is_not_ready = False

    @property
    def is_answering(self) -> bool:
        """Whether it answers. A BMC that is fed by the host's outlets dies with them."""
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
        """Apply a command when its time has come."""
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
        """Let an early reading come true, unless something else was commanded since."""
        if self.told is power:
            self.told = None
            self.turn(power)

    def press(self) -> None:
        """Ask the machine to shut down, as its power button does."""
        if not self.sticks and not self.is_dummy and not self.is_starting:
            (self.wired or self).machine.asked_to_shut_down()

    def turn(self, power: Power) -> None:
        """Really change, for whatever reason."""
        was, self.is_on = self.is_on, power is Power.ON
        if was is not self.is_on:
            self.machine.plug_changed(self)


@dataclass(slots=True, kw_only=True)
class Machine:
    """A physical host. `tell` gets a few words about each thing that happens to it.

    `is_mute`: its reporter is dead. `manner`: how the reporter formats messages. `is_cut_off`: it runs without a
    network. `is_hung`: it does nothing now but may continue at any moment, with the same boot id. `is_meddled`:
    something else switched its power; from then on the daemon can't answer for it. `is_unasked`: probes from the daemon
    do not arrive; its messages do. `addresses`: on networks beside that of `address`; `cut_networks`: those that it
    lost. `shutdown_seconds`: how long it takes to shut down when asked; None: it ignores that. `workloads`: what its
    reporter says of them; None: nothing. `riders`: called when it starts or stops to run, for what runs on it.
    `former`: plugs by earlier names; `edited_at`: when the inventory of its devices last changed. `is_split`: the
    inventory has its feeds on several levels, as if the outlets of one level were all its power.
    """

    name: HostName
    address: str
    addresses: dict[str, str] = field(default_factory=dict)
    cut_networks: set[str] = field(default_factory=set)
    tell: Callable[["Machine", str], None]
    boot_seconds: float = 40.0
    interval: float = 5.0
    plugs: dict[DeviceName, Plug] = field(default_factory=dict)
    does: Run = Run.RUNNING
    boots: int = 1
    beats: int = 0
    polls: int = 0
    polled_every: float = 0.0
    polls_name: float = 0.0
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
    shutdown_seconds: float | None = 20.0
    workloads: int | None = None
    riders: list[Callable[[bool], None]] = field(default_factory=list)
    _booting: asyncio.TimerHandle | None = None

    @property
    def liars(self) -> int:
        """How many of its devices differ from the inventory, now or when they were last believed."""
        return self.is_split + sum(plug.has_lied or plug.is_forgotten for plug in self.plugs.values())

    def plug(self, name: DeviceName) -> Plug:
        """Return a plug by its present or an earlier name."""
        return self.plugs[name] if name in self.plugs else self.former[name]

    @property
    def boot(self) -> BootId:
        return BootId(f"{self.name}#{self.boots}")

    @property
    def is_fed(self) -> bool:
        """Whether a feeding outlet is on. A machine without outlets, or with an unknown feed, is always fed."""
        outlets = [plug for plug in self.plugs.values() if plug.kind is Kind.OUTLET]
        return self.has_mains and (not outlets or any(plug.is_on or plug.is_miswired for plug in outlets))

    @property
    def is_powered(self) -> bool:
        """Whether it is fed and its chassis (if it has one) is on."""
        return self.is_fed and all(plug.is_on for plug in self.plugs.values() if plug.kind is Kind.CHASSIS)

    @property
    def is_running(self) -> bool:
        """Whether it can do harm: it runs, or it is hung and may continue."""
        return self.does is Run.RUNNING

    @property
    def is_beating(self) -> bool:
        is_able = self.does is Run.RUNNING and not self.is_hung and not self.is_stopping
        return is_able and not self.is_mute and not self.is_cut_off

    @property
    def is_answering(self) -> bool:
        """Whether its kernel answers at its address."""
        return self.does is Run.RUNNING and not self.is_hung

    def has_address(self, network: str, address: str) -> bool:
        """Return whether that is its address in that network ("": that of `address`)."""
        return (self.addresses.get(network) if network else self.address) == address

    def answers_at(self, network: str, address: str) -> bool:
        """Return whether it answers at that address of that network."""
        is_there = self.has_address(network, address)
        is_linked = not (self.is_cut_off or self.is_unasked or network in self.cut_networks)
        return is_there and is_linked and self.is_answering

    def die(self) -> None:
        """Crash the kernel; the power stays on. No effect on a machine that does not run."""
        if self.does is Run.RUNNING:
            self.does = Run.DEAD
            self._carry(is_up=False)

    def reboot(self) -> None:
        """Reboot, for whatever reason; impossible without power."""
        if self.is_powered:
            self.does = Run.OFF
            self._carry(is_up=False)
            self.start()

    def asked_to_shut_down(self) -> None:
        """Shut down in an orderly way: its reporter says so, and its chassis switch themselves off at the end."""
        if self.does is not Run.RUNNING or self.is_hung or self.shutdown_seconds is None or self.is_stopping:
            return
        self.tell(self, "shuts down")
        self.is_stopping = True
        asyncio.get_running_loop().call_later(self.shutdown_seconds, self._shut_down, self.boots)

    def _shut_down(self, boots: int) -> None:
        """Switch off, unless it died, hung or booted anew meanwhile."""
        if self.is_stopping and self.is_answering and self.boots == boots:
            for plug in [it for it in self.plugs.values() if it.kind is Kind.CHASSIS]:
                plug.turn(Power.OFF)

    def plug_changed(self, plug: Plug) -> None:
        self.tell(self, f"{plug.device} goes {'ON' if plug.is_on else 'OFF'}")
        if self.is_powered and self.does is Run.OFF:
            self.start()
        elif not self.is_powered and self.does is not Run.OFF:
            self._lose_power()

    def lose_mains(self) -> None:
        """Cut the feed; the machine and its BMC go down."""
        self.has_mains = False
        if self.does is not Run.OFF:
            self._lose_power()

    def get_mains(self, *, on_after_seconds: float) -> None:
        """Restore the feed: the BMC answers at once and keeps the host off for its power restore delay."""
        self.has_mains = True
        for plug in self.plugs.values():
            if plug.kind is Kind.CHASSIS:
                plug.is_on = False
                asyncio.get_running_loop().call_later(on_after_seconds, self._start_by_itself, plug)

    def _start_by_itself(self, plug: Plug) -> None:
        """Let its firmware switch it on, regardless of earlier commands: no daemon can know."""
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
        """Boot with a new boot id, after power came or a reset."""
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
