"""The driver for BMCs that speak Redfish (DSP0266, DSP2046): one system, its PowerState, its Reset action.

Knows resources and reset types; how they are fetched is the transport's. One rule: only "On" and "Off" are states.
PoweringOff is not off, and a 204 to ForceOff means that the BMC has taken the command, no more (S2).
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from fenced.drivers.redfish_transport import TLS_OPTIONS, Answer, Target, Transport, bad, inside, segment, told
from fenced.model.drivers import DriverDescription, Option, OptionKind
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Kind, Power
from fenced.ports.devices import DeviceError, DeviceTimedOut, LoginRefused, NotSupported, OnStarted

OPTIONS: Final = TLS_OPTIONS | {"system"}
SYSTEMS_LISTED_MAX: Final = 20
PATHS_MAX: Final = 100_000
"""Remembered system paths, one per BMC and system."""
RESET_TYPES: Final = {Power.OFF: ("ForceOff",), Power.ON: ("On", "ForceOn")}
"""By preference. Graceful forms and cycles are no fencing (S7)."""
POWER_STATES: Final = {"On": Power.ON, "Off": Power.OFF}
RESET_ACTION: Final = "#ComputerSystem.Reset"
TAKEN: Final = frozenset({200, 201, 202, 204})
IN_THAT_STATE_ALREADY: Final = frozenset({400, 409})
NO_SUCH_ACTION: Final = frozenset({404, 405, 501})
LOGIN_REFUSED: Final = frozenset({401, 403})


DESCRIPTION: Final = DriverDescription(
    name="redfish",
    about="a BMC that speaks Redfish",
    kind=Kind.CHASSIS,
    options=(
        Option(name="system", about="id or path of the system; needed where the BMC has several"),
        Option(name="ca_file", about="the certificate authority that signed the BMC's certificate"),
        Option(name="fingerprint", about="SHA-256 of the BMC's certificate, instead of an authority"),
        Option(name="insecure", about="true: believe any certificate", kind=OptionKind.BOOLEAN),
    ),
    plug_options=("system",),
    default_port=443,
    is_one_plug=True,
    address_schemes=("https", "http"),
)


class Redfish:
    """All Redfish BMCs. Keeps connections and the paths of systems, no power state."""

    description: ClassVar[DriverDescription] = DESCRIPTION

    def __init__(self) -> None:
        self._transport = Transport()
        self._paths: dict[tuple[str, str], str] = {}

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """The system's PowerState. Raises DeviceError."""
        try:
            async with asyncio.timeout(timeout_seconds):
                target = await self._target(spec)
                return _power(target, await self._system(target, spec))
        except TimeoutError as exc:
            raise DeviceTimedOut(
                f"{spec.address}: no power state within {timeout_seconds:g} s", may_be_done=False
            ) from exc

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """ForceOff or On by the Reset action; returns when the BMC has taken it. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise bad("a system can't be set to unknown")
        is_sent = False
        try:
            async with asyncio.timeout(timeout_seconds):
                target = await self._target(spec)
                system = await self._system(target, spec)
                path, reset_type = await self._reset(target, system, power)
                is_sent = True
                answer = await self._transport.post(target, path, {"ResetType": reset_type})
                if answer.status not in TAKEN:
                    await self._refused(target, spec, power, reset_type, answer)
        except TimeoutError as exc:
            raise DeviceTimedOut(
                f"{spec.address}: no answer within {timeout_seconds:g} s" + (", read what it did" if is_sent else ""),
                may_be_done=is_sent,
                is_end_known=not is_sent,
            ) from exc

    async def close(self) -> None:
        """End connections; idempotent."""
        await self._transport.close()

    async def _target(self, spec: DeviceSpec) -> Target:
        unknown = sorted(set(spec.options) - OPTIONS)
        if unknown:
            raise bad(f"unknown options {', '.join(unknown)}; it has {', '.join(sorted(OPTIONS))}")
        return await self._transport.target(spec)

    async def _system(self, target: Target, spec: DeviceSpec) -> Mapping[str, Any]:
        """The system resource. A remembered path that is gone (a new BMC, other firmware) is looked up again."""
        option = str(spec.options.get("system", ""))
        key = (str(target.base), option)
        is_remembered = key in self._paths
        path = self._paths.get(key) or await self._find(target, option)
        answer = await self._transport.get(target, path)
        if answer.status == 404 and is_remembered:
            del self._paths[key]
            return await self._system(target, spec)
        if answer.status == 404:
            raise bad(f"{target.base} has no system {option or path}; set options.system to one that it has")
        system = _read(target, answer, path)
        if len(self._paths) >= PATHS_MAX:
            self._paths.clear()
        self._paths[key] = path
        return system

    async def _find(self, target: Target, option: str) -> str:
        """The path of the system: as configured, else the only one there is."""
        if option.startswith("/"):
            return inside(target, option).raw_path
        root = _read(target, await self._transport.get(target, "/redfish/v1/"), "/redfish/v1/")
        systems = _link(root.get("Systems")) or "/redfish/v1/Systems"
        if option:
            return f"{systems.rstrip('/')}/{segment(option)}"
        collection = _read(target, await self._transport.get(target, systems), systems)
        members = collection.get("Members")
        paths = [path for path in map(_link, members if isinstance(members, list) else []) if path]
        if len(paths) == 1:
            return paths[0]
        names = ", ".join(path.rstrip("/").rpartition("/")[2] for path in paths[:SYSTEMS_LISTED_MAX]) or "none"
        raise bad(f"{target.base} has {len(paths)} systems ({names}); set options.system to the host's")

    async def _reset(self, target: Target, system: Mapping[str, Any], power: Power) -> tuple[str, str]:
        """Where and with which type to reset. Raises NotSupported where the BMC says that it can't."""
        actions = system.get("Actions")
        action = actions.get(RESET_ACTION) if isinstance(actions, dict) else None
        path = action.get("target") if isinstance(action, dict) else None
        if not isinstance(action, dict) or not isinstance(path, str):
            raise NotSupported(f"{target.base}: the system has no Reset action", may_be_done=False)
        allowed = action.get("ResetType@Redfish.AllowableValues")
        if not isinstance(allowed, list):
            allowed = await self._allowed(target, action)
        wanted = RESET_TYPES[power]
        reset_type = wanted[0] if allowed is None else next((name for name in wanted if name in allowed), None)
        if reset_type is None:
            raise NotSupported(f"{target.base}: the system takes no {wanted[0]}", may_be_done=False)
        return path, reset_type

    async def _allowed(self, target: Target, action: Mapping[str, Any]) -> list[Any] | None:
        """Allowed values from the action's info resource; None where there is none that can be read."""
        path = action.get("@Redfish.ActionInfo")
        if not isinstance(path, str):
            return None
        answer = await self._transport.get(target, path)
        parameters = answer.body.get("Parameters") if answer.status == 200 else None
        for parameter in parameters if isinstance(parameters, list) else []:
            if isinstance(parameter, dict) and parameter.get("Name") == "ResetType":
                values = parameter.get("AllowableValues")
                return values if isinstance(values, list) else None
        return None

    async def _refused(self, target: Target, spec: DeviceSpec, power: Power, reset_type: str, answer: Answer) -> None:
        """The BMC did not take the command. Some say so because the system is in that state already; else raises."""
        text = f"{target.base} answered {reset_type} with {answer.status}{told(target, answer)}"
        if answer.status in LOGIN_REFUSED:
            raise LoginRefused(text, may_be_done=False)
        if answer.status in NO_SUCH_ACTION:
            raise NotSupported(text, may_be_done=False)
        if answer.status not in IN_THAT_STATE_ALREADY:
            raise DeviceError(text)
        if _power(target, await self._system(target, spec)) is not power:
            raise DeviceError(text)


def _power(target: Target, system: Mapping[str, Any]) -> Power:
    if "PowerState" not in system:
        raise DeviceError(f"{target.base}: the system has no PowerState", may_be_done=False)
    state = system["PowerState"]
    return POWER_STATES.get(state, Power.UNKNOWN) if isinstance(state, str) else Power.UNKNOWN


def _read(target: Target, answer: Answer, path: str) -> Mapping[str, Any]:
    """The body of a read resource. Raises DeviceError for everything but a 200 with a JSON object."""
    if answer.status in LOGIN_REFUSED:
        raise LoginRefused(f"{target.base} refuses the user ({answer.status}){told(target, answer)}", may_be_done=False)
    if answer.status != 200:
        raise DeviceError(f"{target.base}{path} answered {answer.status}{told(target, answer)}", may_be_done=False)
    if not answer.body:
        raise DeviceError(f"{target.base}{path} is no Redfish resource{told(target, answer)}", may_be_done=False)
    return answer.body


def _link(value: object) -> str | None:
    """The path in a Redfish link."""
    path = value.get("@odata.id") if isinstance(value, dict) else None
    return path if isinstance(path, str) and path else None
