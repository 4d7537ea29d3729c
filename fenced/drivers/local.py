"""Calls the drivers of this process: implements ports.devices.Caller for the proxy `engine`.

It checks no token; the device worker has done that (S5).
"""

from collections.abc import Callable

from fenced.model.inventory import DeviceSpec
from fenced.model.names import ProxyName
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, Driver, Identified, OnStarted, Permit, identified, soft_off


class LocalCaller:
    """`driver_for`: the registry's method."""

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

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        _refuse_credential(spec)
        driver = self._driver_for(spec.driver)
        await soft_off(driver, spec, timeout_seconds=permit.attempt_timeout_seconds, on_started=on_started)

    async def close(self) -> None:
        """Nothing to close: the registry ends its drivers."""


def _refuse_credential(spec: DeviceSpec) -> None:
    if spec.credential:
        raise BadParameters(
            f"credential at-proxy:{spec.credential} exists only at proxies: the daemon's own machine (engine) has none",
            may_be_done=False,
        )
