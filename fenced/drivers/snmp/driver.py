"""The driver for outlets over SNMP: rack PDUs of seven vendors by their public MIBs, any other by its objects.

Knows deadlines; options, tables, outlets and messages are its neighbours' (snmp_options, _tables, _unit, _exchange,
_messages, _users). One rule: pysnmp is imported when the first unit is asked, so that a daemon without any never pays.
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
    """All outlets over SNMP. Keeps no connection: a socket lives as long as a call."""

    description: ClassVar[DriverDescription] = DESCRIPTION

    def __init__(self) -> None:
        self._units: Units | None = None

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """What all outlets of the plug say together. Raises DeviceError."""
        settings = settings_of(spec)
        try:
            async with asyncio.timeout(timeout_seconds):
                units = await self._loaded()
                return await units.read(settings)
        except TimeoutError as exc:
            raise DeviceTimedOut(silence(settings), may_be_done=False) from exc

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Immediate ON or OFF to each outlet, once each; returns when the unit has taken all. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise bad("an outlet can't be set to unknown")
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + timeout_seconds
        settings = settings_of(spec)
        units = await self._loaded()
        await units.set(settings, power, deadline=deadline)

    async def close(self) -> None:
        """Nothing is open between calls; idempotent."""

    async def _loaded(self) -> "Units":
        """The import takes some 60 ms: in a thread, so that others go on."""
        if self._units is None:
            module = await asyncio.to_thread(importlib.import_module, "fenced.drivers.snmp.unit")
            self._units = self._units or module.Units()
        return self._units
