"""Calls of the IPMI driver to the tests' BMC."""

import itertools
from collections.abc import Callable
from typing import Any

from fenced.drivers.ipmi.driver import Ipmi
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from tests.drivers.ipmi.bmc import Bmc
from tests.drivers.programs import spec_of, starts_into


def spec_at(bmc: Bmc, **changes: Any) -> DeviceSpec:
    given: dict[str, Any] = {
        "address": f"127.0.0.1:{bmc.port}", "username": "admin", "password": Secret("s3cret!pw"), "options": {},
    }  # fmt: skip
    return spec_of("ipmi", **(given | changes))


def first(kind: Any, *, times: int = 1) -> Callable[[Any], bool]:
    """Return a predicate that is true for the first few requests of a kind."""
    counted = itertools.count()
    return lambda asked: asked == kind and next(counted) < times


async def read(bmc: Bmc, *, seconds: float = 5.0, driver: Ipmi | None = None, **changes: Any) -> Power:
    return await (driver or Ipmi()).read(spec_at(bmc, **changes), timeout_seconds=seconds)


async def switch(bmc: Bmc, power: Power, *, seconds: float = 5.0, **changes: Any) -> None:
    await Ipmi().set(spec_at(bmc, **changes), power, timeout_seconds=seconds, on_started=starts_into([]))


async def ask_down(bmc: Bmc, *, seconds: float = 5.0, **changes: Any) -> None:
    await Ipmi().soft_off(spec_at(bmc, **changes), timeout_seconds=seconds, on_started=starts_into([]))
