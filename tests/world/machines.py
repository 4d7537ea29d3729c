"""The truth of the virtual data centre: plugs, the machines they feed, and every way in which both go wrong.

It knows nothing of the daemon. Its one rule: a machine runs only while it has power, and nothing but a plug gives it power.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from fenced.model.names import BootId, DeviceName, HostName, PlugId
from fenced.model.power import Kind, Power


class Run(Enum):
    """What a machine does."""

    OFF = "off"
    BOOTING = "booting"
    RUNNING = "running"
    DEAD = "dead"


@dataclass(slots=True, kw_only=True)
class Plug:
    """One outlet or BMC. `is_on` is the truth; the fields below it are faults, which a test sets and takes away.

    `read_seconds`, `set_seconds`: how long a call takes; a command acts at the end of its time. `is_starting`: it has just
    booted, says OFF whatever is true, and does nothing for a host that it takes to be off: no lie, but the reason to let it
    settle. `wrong_through`: proxies by which another machine answers at its address.
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
    wrong_through: frozenset[str] = frozenset()

    def lie(self, power: Power | None) -> None:
        """From now on it says this whatever is true; None: it says the truth again."""
        self.says, self.has_lied = power, self.has_lied or power is not None

    def miswire(self) -> None:
        """It feeds another machine: it does and says what it is told, and the host does not care."""
        self.is_miswired = self.has_lied = True

    def restart(self, *, away_seconds: float, starting_seconds: float) -> None:
        """It boots: away first, then it answers before it knows its host."""
        loop = asyncio.get_running_loop()
        self.is_unreachable = self.is_starting = True
        loop.call_later(away_seconds, self._answer_again)
        loop.call_later(away_seconds + starting_seconds, self._started)

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
        if self.says is not None:
            return self.says
        if self.is_starting:
            return Power.OFF
        is_dark = self.kind is Kind.CHASSIS and not self.machine.is_fed
        return Power.ON if self.is_on and not is_dark else Power.OFF

    def switch(self, power: Power) -> None:
        """What a command does when its time has come."""
        if not self.sticks and not self.is_starting:
            self.turn(power)

    def turn(self, power: Power) -> None:
        """Really change, by whatever cause."""
        was, self.is_on = self.is_on, power is Power.ON
        if was is not self.is_on:
            self.machine.plug_changed(self)


@dataclass(slots=True, kw_only=True)
class Machine:
    """A host of flesh and blood. `tell` hears what happens to it, in a few words.

    `is_mute`: its reporter is dead. `is_hung`: it does nothing now and may go on any moment, with the same boot id.
    `is_meddled`: somebody else touched its power; from then on the daemon can't answer for it.
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
    is_hung: bool = False
    is_stopping: bool = False
    is_meddled: bool = False
    has_mains: bool = True
    _booting: asyncio.TimerHandle | None = None

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
        return self.does is Run.RUNNING and not self.is_mute and not self.is_hung and not self.is_stopping

    @property
    def is_answering(self) -> bool:
        """Whether its kernel answers at its address."""
        return self.does is Run.RUNNING and not self.is_hung

    def die(self) -> None:
        """The kernel is dead; the power is on. One that does not run has no kernel to die."""
        if self.does is Run.RUNNING:
            self.does = Run.DEAD

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
                asyncio.get_running_loop().call_later(on_after_seconds, plug.turn, Power.ON)

    def _lose_power(self) -> None:
        self.does = Run.OFF
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
        self.tell(self, f"runs, boot {self.boots}")
