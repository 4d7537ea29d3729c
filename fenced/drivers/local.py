"""The daemon's own machine as a proxy: ports.devices.Caller straight onto the drivers of this process.

Checks no token: the device worker before it does (S5). One rule: what it starts, it ends.
"""

from collections.abc import Callable

from fenced.model.inventory import DeviceSpec
from fenced.model.names import ProxyName
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, Driver, Identified, OnStarted, Permit, identified


class LocalCaller:
    """`driver_for`: the registry's."""

    def __init__(self, driver_for: Callable[[str], Driver]) -> None:
        self._driver_for = driver_for

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        _refuse_credential(spec)
        return await self._driver_for(spec.driver).read(spec, timeout_seconds=timeout_seconds)

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        _refuse_credential(spec)
        return await identified(self._driver_for(spec.driver), spec, timeout_seconds=timeout_seconds)

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        _refuse_credential(spec)
        driver = self._driver_for(spec.driver)
        await driver.set(spec, power, timeout_seconds=permit.attempt_timeout_seconds, on_started=on_started)

    async def close(self) -> None:
        """The registry ends its drivers itself."""


def _refuse_credential(spec: DeviceSpec) -> None:
    if spec.credential:
        raise BadParameters(
            f"credential at-proxy:{spec.credential} is kept at proxies: the daemon's own machine (engine) has none",
            may_be_done=False,
        )
