"""What a reading of one plug counts as: a device that has just come back may read OFF while its host runs.

Knows what came of the earlier calls to this plug, in this life of ours; nothing of sockets, hosts or operations. Its one
rule: for the settle time after its return, or after our own start, an OFF of the device counts as UNKNOWN (S2). An ON always
counts: it only makes us more careful, and nothing that speaks against OFF may be hidden. ADR 17 says why.
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
"""Failures after which the device is not taken to have been out of reach: it spoke, or was never asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reading counts as. `note`: why it counts as UNKNOWN though the device says OFF; `settling_until`: until then.

    `identities`: which machine the device belongs to, where it was asked and told."""

    power: Power
    note: str | None = None
    settling_until: float = 0.0
    identities: tuple[str, ...] = ()


class Settling:
    """One plug's memory of being out of reach. `started`: our own start; what was before it is not known."""

    __slots__ = ("_failing", "_is_away", "_returned_at", "_why")

    def __init__(self, *, started: float) -> None:
        self._failing: set[ProxyName] = set()
        self._is_away = False
        self._returned_at = started
        self._why = "may have been out of reach until we started"

    def failed(self, proxy: ProxyName, error: DeviceError) -> None:
        """A call through that path failed. A path that fails again tells nothing new: it may be the path's own fault."""
        if isinstance(error, NOTHING_OF_REACH):
            return
        is_news = proxy not in self._failing
        self._failing.add(proxy)
        if isinstance(error, DeviceNotReady):
            self._is_away, self._why = True, "said that it was not ready until"
        elif is_news:
            self._is_away, self._why = True, "was out of reach until"

    def answered(self, proxy: ProxyName, power: Power, *, now: float, settle_seconds: float) -> Reading:
        """A read through that path succeeded: the device is there, whatever its answer counts as."""
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
