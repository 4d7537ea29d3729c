"""The power of a rack: which outlets and chassis are on, and therefore which hosts run.

Knows no sockets, processes or clock: the caller passes `now`, and `changed` reports when a host gains or loses power. A
host has power if and only if its chassis is on and at least one of its outlets is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One outlet of a power distribution unit; outlets count from 1."""

    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.unit}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How one host is fed. `is_standby_separate`: its BMC has its own power and keeps running without the outlets."""

    host: str
    outlets: tuple[Outlet, ...]
    is_standby_separate: bool = False


@dataclass(slots=True, kw_only=True)
class _Chassis:
    """The state of one host's chassis. `bmc_since`: when its BMC got power, or None without power."""

    is_on: bool = True
    is_mains_on: bool = True
    bmc_since: float | None = 0.0


class Rack:
    """Outlets and chassis of some hosts. At the start everything is on and all BMCs have booted."""

    def __init__(
        self,
        wirings: Sequence[Wiring],
        *,
        changed: Callable[[str, bool], None],
        asked: Callable[[str], None] | None = None,
        bmc_boot_seconds: float = 3.0,
    ) -> None:
        """`changed(host, has_power)` is called at each change, before the call that caused it returns. `asked(host)`:
        its power button was pressed; None: nothing runs on the hosts that would shut them down."""
        self._wirings = {wiring.host: wiring for wiring in wirings}
        self._chassis = {wiring.host: _Chassis(bmc_since=-bmc_boot_seconds) for wiring in wirings}
        self._outlets = {outlet: True for wiring in wirings for outlet in wiring.outlets}
        self._changed, self._asked = changed, asked
        self._bmc_boot_seconds = bmc_boot_seconds
        if len(self._outlets) != sum(len(wiring.outlets) for wiring in wirings):
            raise ValueError("an outlet feeds two hosts; give each host its own outlets")

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self._wirings)

    def wiring(self, host: str) -> Wiring:
        """Raises KeyError for a host that the rack does not have."""
        return self._wirings[host]

    def outlets_of(self, unit: str) -> tuple[tuple[Outlet, str], ...]:
        """Return the unit's outlets with the host that each feeds, in order."""
        found = [(o, wiring.host) for wiring in self._wirings.values() for o in wiring.outlets if o.unit == unit]
        return tuple(sorted(found, key=lambda pair: pair[0].number))

    def has_outlet(self, outlet: Outlet) -> bool:
        return outlet in self._outlets

    def is_outlet_on(self, outlet: Outlet) -> bool:
        return self._outlets[outlet]

    def has_mains(self, host: str) -> bool:
        """Return whether any of the host's outlets is on."""
        return any(self._outlets[outlet] for outlet in self._wirings[host].outlets)

    def has_power(self, host: str) -> bool:
        """Return whether the host's processor has power; a crashed host has it, too."""
        return self._chassis[host].is_on and self.has_mains(host)

    def has_bmc_power(self, host: str) -> bool:
        return self._chassis[host].bmc_since is not None

    def is_bmc_ready(self, host: str, *, now: float) -> bool:
        """Return whether the BMC has had power for long enough to boot."""
        since = self._chassis[host].bmc_since
        return since is not None and now - since >= self._bmc_boot_seconds

    def set_outlet(self, outlet: Outlet, *, is_on: bool, now: float) -> None:
        """Switch one outlet; nothing happens if it is in that state already."""
        self._outlets[outlet] = is_on
        for host, wiring in self._wirings.items():
            if outlet in wiring.outlets:
                self._mains_changed(host, now)

    def set_chassis(self, host: str, *, is_on: bool) -> None:
        """Switch the chassis, as the BMC or the power button does.

        Without mains nothing happens: the BMC is off, too.
        """
        chassis = self._chassis[host]
        if not self.has_mains(host) or chassis.is_on == is_on:
            return
        chassis.is_on = is_on
        self._changed(host, is_on)

    def ask_down(self, host: str) -> None:
        """Press the power button briefly: the operating system shuts down, and then switches the chassis off. Nothing
        happens without power."""
        if self.has_power(host) and self._asked is not None:
            self._asked(host)

    def _mains_changed(self, host: str, now: float) -> None:
        chassis, wiring = self._chassis[host], self._wirings[host]
        is_on = self.has_mains(host)
        if is_on == chassis.is_mains_on:
            return
        chassis.is_mains_on = is_on
        if not wiring.is_standby_separate:
            chassis.bmc_since = now if is_on else None
        if is_on:
            chassis.is_on = True  # the firmware's restore policy: always on
            self._changed(host, True)
        elif chassis.is_on:
            self._changed(host, False)
