"""Decides what a reading of one plug counts as: a device that has just come back may read OFF while its host runs.

Knows the results of earlier calls to this plug since the start, not sockets, hosts or operations. For the settle time
after a device returns, or after the daemon's start, its OFF counts as UNKNOWN (S2). An ON always counts: it only makes
the daemon more careful, and no evidence against OFF may be hidden. ADR 17 says why.
"""

from dataclasses import dataclass
from typing import Final

from fenced.model.names import ProxyName
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    CommandRefused,
    DeviceError,
    DeviceNotReady,
    LoginRefused,
    NotSupported,
    ProxyTimedOut,
    ProxyUnreachable,
    StateNotReached,
    WrongMachine,
)

NOTHING_OF_REACH: Final = (
    ProxyUnreachable,
    ProxyTimedOut,
    LoginRefused,
    BadParameters,
    NotSupported,
    CommandRefused,
    StateNotReached,
    WrongMachine,
)
"""Errors that don't mean the device was out of reach: it answered, or was never called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reading counts as. `note`: why it counts as UNKNOWN until `settling_until` although the device says OFF.

    `identities`: the machine that the device says it belongs to, if it was queried and reports one.
    """

    power: Power
    note: str | None = None
    settling_until: float = 0.0
    identities: tuple[str, ...] = ()


class Settling:
    """Remembers when one plug was out of reach. `started`: the daemon's start; nothing is known of the time before."""

    __slots__ = ("_failing", "_is_away", "_returned_at", "_why")

    def __init__(self, *, started: float) -> None:
        self._failing: set[ProxyName] = set()
        self._is_away = False
        self._returned_at = started
        self._why = "may have been out of reach until we started"

    def failed(self, proxy: ProxyName, error: DeviceError) -> None:
        """Note a failed call through a path. A path that fails again adds nothing: the fault may be the path's."""
        if isinstance(error, NOTHING_OF_REACH):
            return
        is_news = proxy not in self._failing
        self._failing.add(proxy)
        if isinstance(error, DeviceNotReady):
            self._is_away, self._why = True, "said that it was not ready until"
        elif is_news:
            self._is_away, self._why = True, "was out of reach until"

    def answered(self, proxy: ProxyName, power: Power, *, now: float, settle_seconds: float) -> Reading:
        """Note a successful read through a path, and return what it counts as."""
        self._failing.discard(proxy)
        if self._is_away:
            self._is_away, self._returned_at = False, now
        until = self._returned_at + settle_seconds
        if power is not Power.OFF or now >= until:
            return Reading(power=power)
        return Reading(
            power=Power.UNKNOWN,
            note=f"reads OFF, but it {self._why} {now - self._returned_at:.0f} s ago: "
            f"counts as unknown for {until - now:.0f} s more",
            settling_until=until,
        )
