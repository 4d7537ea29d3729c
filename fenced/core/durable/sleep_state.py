"""What is durably known of a host that saving put to sleep (S24). Times are seconds on the steady clock."""

from dataclasses import dataclass

from fenced.model.names import BootId, DeviceName, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Asleep:
    """The host was put to sleep, and was not heard since. It is the daemon's to give back (S9), and never expires.

    `boot`: the run that was shut down. `devices`: the chassis that were read OFF. `waker`, `why`: who wants it awake,
    and the reason; "": nobody yet.
    """

    at: float
    boot: BootId | None
    token: Token
    devices: tuple[DeviceName, ...]
    waker: str = ""
    why: str = ""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants it awake."""
        return bool(self.waker)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftOff:
    """A soft off under way: until the chassis read OFF, or another boot is heard. Until then no ON is sent.

    `workloads`: the first that the host reported after it was asked; 0: none. `busy_by`: who said after that that it is
    busy; "": nobody. `waker`, `why`: who wants it awake once it is off, and the reason; "": nobody yet.
    """

    at: float
    boot: BootId | None
    devices: tuple[DeviceName, ...]
    workloads: int = 0
    waker: str = ""
    why: str = ""
    busy_by: str = ""

    @property
    def has_work(self) -> bool:
        """Whether work was heard after it was asked: then its OFF is no sleep."""
        return bool(self.workloads or self.busy_by)

    @property
    def work(self) -> str:
        """What was heard of its work after it was asked, for people."""
        said = f"{self.busy_by} said that it is busy" if self.busy_by else f"it reported {self.workloads} workloads"
        return f"{said} after it was asked to shut down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What saving remembers of a host. `proven_at`: when it last came back after an ON of the daemon's, on every
    device. `is_switched_on`: an ON of the daemon's brought all devices back, and the host was not heard since.
    `woken_at`: when it last woke, or a sleep of it was called off. `retry_at`: until then it is left alone after it did
    not go down. `slept_seconds`: of its ended sleeps. `ended_at`: when it was last put to sleep, or that failed."""

    asleep: Asleep | None = None
    soft_off: SoftOff | None = None
    proven_at: float | None = None
    is_switched_on: bool = False
    woken_at: float | None = None
    retry_at: float = 0.0
    slept_seconds: float = 0.0
    ended_at: float | None = None

    def slept_until(self, at: float) -> float:
        """Return for how many seconds the host has slept in all, its present sleep included."""
        return self.slept_seconds + (max(at - self.asleep.at, 0.0) if self.asleep is not None else 0.0)


NEVER = Saving()
