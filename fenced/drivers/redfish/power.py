"""Reads the power state from a system resource, and checks that its BMC can know it.

Off is rejected if the BMC reports, in the same call, that it has just started: some BMCs then read Off while their host
runs (openbmc/openbmc#1094, #1572, #2224).
"""

import datetime
from typing import Final

from fenced.drivers.redfish.answers import Json, links, part
from fenced.drivers.redfish.exchange import Exchange
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceNotReady

POWER_STATES: Final = {"On": Power.ON, "Off": Power.OFF}
STARTING: Final = "Starting"
"""Status.State of a resource that is becoming available (DSP2046);
OpenBMC's manager uses it (ibm-openbmc/bmcweb#221)."""
ABSENT: Final = "Absent"
"""Status.State of an empty slot (jenningsloy318/redfish_exporter#75), and of a blade that its manager does not know
(HewlettPackard/oneview-redfish-toolkit#111): the host may run elsewhere, or even there."""
SETTLE_SECONDS: Final = 60.0
"""How long to reject Off after a BMC's restart. OpenBMC answers about half a minute before its states are valid
(xcat2/xcat-core#3310, #3965), iDRAC requests 30 s (ironcore-dev/metal-operator#170): twice that."""
MANAGERS_MAX: Final = 4


async def power_of(exchange: Exchange, system: Json, spec: DeviceSpec) -> Power:
    """Return the power; only "On" and "Off" count. Raises DeviceError; DeviceNotReady if the BMC can't know it yet."""
    base = exchange.target.base
    _check_known(exchange, system)
    state = system["PowerState"]
    power = POWER_STATES.get(state, Power.UNKNOWN) if isinstance(state, str) else Power.UNKNOWN
    if power is Power.OFF:
        _check_there(exchange, system)
        why = await _youth_of(exchange, system, spec)
        if why is None and exchange.was_not_ready:
            why = "its service was unavailable a moment ago"
        if why is not None:
            raise DeviceNotReady(f"{base} reads Off, which does not count yet: {why}", may_be_done=False)
    return power


async def check_ready(exchange: Exchange, system: Json, power: Power, spec: DeviceSpec) -> None:
    """Raise DeviceError if a read could not prove this power after setting it."""
    _check_known(exchange, system)
    if power is not Power.OFF:
        return
    _check_there(exchange, system)
    why = await _youth_of(exchange, system, spec)
    if why is not None:
        raise DeviceNotReady(f"{exchange.target.base}: its Off would not count yet: {why}", may_be_done=False)


def _check_known(exchange: Exchange, system: Json) -> None:
    base = exchange.target.base
    if "PowerState" not in system:
        raise DeviceError(f"{base}: the system has no PowerState", may_be_done=False)
    if system["PowerState"] is None:
        raise DeviceNotReady(f"{base} does not know the power state yet", may_be_done=False)


def _check_there(exchange: Exchange, system: Json) -> None:
    if part(system, "Status", "State") == ABSENT:
        raise DeviceError(
            f"{exchange.target.base}: the system is absent and may run elsewhere, so its Off proves nothing",
            may_be_done=False,
        )


async def _youth_of(exchange: Exchange, system: Json, spec: DeviceSpec) -> str | None:
    """Return why the BMC counts as just started, by its own report; None if it reports nothing. Raises DeviceError."""
    if not spec.check_ready:
        return None
    why = "the system is starting" if part(system, "Status", "State") == STARTING else None
    is_manager_asked = bool(spec.options.get("check_manager", True))
    managers = links(part(system, "Links", "ManagedBy"), most=MANAGERS_MAX) if is_manager_asked else []
    for path in managers:
        if why is not None:
            break
        answer = await exchange.get(path)
        why = _youth(answer.body) if answer.status == 200 else None
    return None if why is None else f"{why} (if it always says so, set check_ready = false at the device)"


def _youth(manager: Json) -> str | None:
    """Return why a manager has started too recently. Both its times come from one clock, which need not be right."""
    if part(manager, "Status", "State") == STARTING or manager.get("PowerState") == "PoweringOn":
        return "its BMC is starting"
    now, started = _moment(manager.get("DateTime")), _moment(manager.get("LastResetTime"))
    if now is None or started is None:
        return None
    up = (now - started).total_seconds()
    return f"its BMC started {up:.0f} s ago" if 0 <= up < SETTLE_SECONDS else None


def _moment(value: object) -> datetime.datetime | None:
    """Parse ISO 8601 (DSP0266). Without a zone, any fixed one will do, because only differences count."""
    try:
        moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
