"""Reads and switches outlets over SNMP: rack PDUs of seven vendors by their public MIBs, others by configured objects.

It sets deadlines and leaves the rest to `options` and `unit`. It imports `unit`, and with it pysnmp, on the first call,
so that a daemon without SNMP devices does not pay for it.
"""

import asyncio
import importlib
import time
from typing import TYPE_CHECKING, ClassVar

from fenced.drivers.snmp.options import DESCRIPTION, bad, settings_of, silence
from fenced.model.drivers import DriverDescription
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import DeviceTimedOut, OnStarted

if TYPE_CHECKING:
    from fenced.drivers.snmp.unit import Units


class SnmpOutlet:
    """All outlets over SNMP. Each call opens its own socket."""

    description: ClassVar[DriverDescription] = DESCRIPTION

    def __init__(self) -> None:
        self._units: Units | None = None

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """Return the combined power of all outlets of the plug. Raises DeviceError."""
        settings = settings_of(spec)
        try:
            async with asyncio.timeout(timeout_seconds):
                units = await self._loaded()
                return await units.read(settings)
        except TimeoutError as exc:
            raise DeviceTimedOut(silence(settings), may_be_done=False) from exc

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send immediate ON or OFF once to each outlet; return when the unit has accepted all. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise bad("an outlet can't be set to unknown")
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + timeout_seconds
        settings = settings_of(spec)
        units = await self._loaded()
        await units.set(settings, power, deadline=deadline)

    async def close(self) -> None:
        """Nothing to close."""

    async def _loaded(self) -> "Units":
        """Import `unit` in a thread: it takes about 60 ms."""
        if self._units is None:
            module = await asyncio.to_thread(importlib.import_module, "fenced.drivers.snmp.unit")
            self._units = self._units or module.Units()
        return self._units
