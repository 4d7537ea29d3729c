"""Reads and switches one system of a BMC by Redfish (DSP0266, DSP2046): its PowerState and its Reset action.

It chooses the reset type and interprets the answer; its neighbours find the system, keep sessions, follow tasks and
speak HTTP. A 2xx to ForceOff means that the BMC has accepted the command, not that the host is off (S2).
"""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from fenced.drivers.redfish.answers import LOGIN_REFUSED, Answer, Json, explanation, part
from fenced.drivers.redfish.exchange import BUSY, Exchange
from fenced.drivers.redfish.power import SETTLE_SECONDS, check_ready, power_of
from fenced.drivers.redfish.sessions import Sessions
from fenced.drivers.redfish.systems import Systems
from fenced.drivers.redfish.target import BASIC, SESSION, Target, Targets, bad
from fenced.drivers.redfish.tasks import follow
from fenced.drivers.redfish.transport import Transport
from fenced.drivers.redfish.vendors import Meaning, identities
from fenced.model.drivers import DriverDescription, Option, OptionKind
from fenced.model.identity import comparable
from fenced.model.inventory import DeviceSpec
from fenced.model.option_values import Shape, why_misshapen
from fenced.model.power import Kind, Power
from fenced.ports.devices import (
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    Identified,
    LoginRefused,
    NotSupported,
    OnStarted,
)

RESET_TYPES: Final = {Power.OFF: ("ForceOff",), Power.ON: ("On", "ForceOn")}
"""In order of preference. Graceful types and cycles do not fence (S7); PushPowerButton switches on a system that is off
(HewlettPackard/oneview-redfish-toolkit#88)."""
SOFT_OFF: Final = ("GracefulShutdown",)
"""It asks the operating system (S24). PushPowerButton is none: it switches on a system that is off."""
RESET_ACTION: Final = "#ComputerSystem.Reset"
TAKEN: Final = frozenset({200, 201, 202, 204})
THERE_ALREADY: Final = frozenset({400, 409})
"""iLO and iDRAC answer so if the system is already in that state (goldyfruit/ansible-ilo#1,
openstack-k8s-operators/infra-operator#434)."""
NO_SUCH_ACTION: Final = frozenset({404, 405, 501})
GATEWAY_GAVE_UP: Final = frozenset({502, 503, 504})
RESET_TYPES_LISTED_MAX: Final = 12
READY_WAIT_SECONDS: Final = 2.0
"""The pause between checks whether a BMC that has just started is ready for the command."""
COMMAND_SECONDS: Final = 5.0
"""The part of a call's time that is reserved for the command itself."""

DESCRIPTION: Final = DriverDescription(
    name="redfish",
    about="a BMC that speaks Redfish",
    kind=Kind.CHASSIS,
    options=(
        Option(name="system", about="id, path, UUID or serial number of the system; required if the BMC has several"),
        Option(
            name="auth",
            about="how to log in: basic sends the password with each request; session uses one of the few sessions",
            choices=(BASIC, SESSION),
            default=BASIC,
        ),
        Option(name="ca_file", about="the certificate authority that signed the BMC's certificate"),
        Option(name="fingerprint", about="SHA-256 of the BMC's certificate, instead of an authority"),
        Option(name="insecure", about="true: accept any certificate", kind=OptionKind.BOOLEAN, default=False),
        Option(
            name="check_manager",
            about="false: accept Off without checking whether the BMC's manager has just started",
            kind=OptionKind.BOOLEAN,
            default=True,
        ),
    ),
    plug_options=("system",),
    default_port=443,
    is_one_plug=True,
    address_schemes=("https", "http"),
    can_identify=True,
    settle_seconds=SETTLE_SECONDS,
    can_tell_ready=True,
    speaks_tls=True,
    can_soft_off=True,
    shapes={"system": Shape.OUTLET},
)
OPTIONS: Final = frozenset(option.name for option in DESCRIPTION.options)


class Redfish:
    """All Redfish BMCs. Keeps connections, sessions and the paths of systems, but no power state."""

    description: ClassVar[DriverDescription] = DESCRIPTION

    def __init__(self) -> None:
        self._targets = Targets()
        self._transport = Transport()
        self._sessions = Sessions(self._transport)
        self._systems = Systems()

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """Return the system's PowerState. Raises DeviceError."""
        return (await self.identify(spec, timeout_seconds=timeout_seconds)).power

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """Read, and return the identities in the system resource, too; this needs no further request."""
        try:
            async with asyncio.timeout(timeout_seconds):
                target = await self._target(spec)
                exchange = self._exchange(target, timeout_seconds)
                system = await self._systems.read(exchange, spec)
                power = await self._power_of(exchange, system, spec)
                return Identified(power=power, identities=comparable(identities(system), secrets=spec.all_secrets))
        except TimeoutError as exc:
            raise DeviceTimedOut(
                f"{spec.address}: no power state within {timeout_seconds:g} s", may_be_done=False
            ) from exc

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send ForceOff or On; return when the BMC has accepted it or has finished its task. Raises DeviceError."""
        if power is Power.UNKNOWN:
            raise bad("a system can't be set to unknown")
        await self._command(spec, power, RESET_TYPES[power], timeout_seconds)

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send GracefulShutdown, as `set` sends ForceOff, but follow no task: it lasts until the host is down, or until
        the BMC gives up, and meanwhile no OFF could be sent. Raises DeviceError; NotSupported: it is not offered."""
        await self._command(spec, Power.OFF, SOFT_OFF, timeout_seconds)

    async def _command(self, spec: DeviceSpec, power: Power, wanted: Sequence[str], timeout_seconds: float) -> None:
        exchange = None
        try:
            async with asyncio.timeout(timeout_seconds):
                target = await self._target(spec)
                exchange = self._exchange(target, timeout_seconds)
                await self._reset(exchange, spec, power, wanted)
        except TimeoutError as exc:
            is_sent = exchange is not None and exchange.is_in_doubt
            raise DeviceTimedOut(
                f"{spec.address}: no answer within {timeout_seconds:g} s" + (", read what it did" if is_sent else ""),
                may_be_done=is_sent,
                is_end_known=not is_sent,
            ) from exc

    async def close(self) -> None:
        """Log out and close connections; idempotent."""
        await self._sessions.close()
        await self._transport.close()

    async def _target(self, spec: DeviceSpec) -> Target:
        unknown = sorted(set(spec.options) - OPTIONS)
        if unknown:
            raise bad(f"unknown options {', '.join(unknown)}; it has {', '.join(sorted(OPTIONS))}")
        why = why_misshapen(DESCRIPTION.shapes, ("system",), str(spec.options.get("system", "")).strip())
        if why:
            raise bad(f"system {why}")
        return await self._targets.target(spec)

    def _exchange(self, target: Target, timeout_seconds: float) -> Exchange:
        return Exchange(target, transport=self._transport, sessions=self._sessions, timeout_seconds=timeout_seconds)

    async def _power(self, exchange: Exchange, spec: DeviceSpec) -> Power:
        """Read the power of the right machine. Raises DeviceError."""
        return await self._power_of(exchange, await self._systems.read(exchange, spec), spec)

    async def _power_of(self, exchange: Exchange, system: Json, spec: DeviceSpec) -> Power:
        return await power_of(exchange, system, spec)

    async def _reset(self, exchange: Exchange, spec: DeviceSpec, power: Power, wanted: Sequence[str]) -> None:
        """Check the machine, then switch it. Raises DeviceError."""
        system = await self._ready(exchange, spec, power)
        path, reset_type = await _action(exchange, system, wanted)
        answer = await exchange.command(path, {"ResetType": reset_type})
        if answer.status in TAKEN:
            if reset_type not in SOFT_OFF:
                await follow(exchange, answer)
            return
        refusal = _refusal(exchange.target, reset_type, answer)
        if answer.status in THERE_ALREADY or answer.meaning is Meaning.THERE_ALREADY:
            await self._is_there_already(exchange, spec, power, refusal)
            return
        raise refusal

    async def _ready(self, exchange: Exchange, spec: DeviceSpec, power: Power) -> Json:
        """Return the system once a read could prove the new state; otherwise OFF might be sent and never be proven.

        Waits for a BMC that has just started: its On was accepted, so the engine does not wait. Raises DeviceNotReady
        when the remaining time is needed for the command.
        """
        while True:
            system = await self._systems.read(exchange, spec)
            try:
                await check_ready(exchange, system, power, spec)
            except DeviceNotReady:
                if exchange.left_seconds < READY_WAIT_SECONDS + COMMAND_SECONDS:
                    raise
            else:
                return system
            await asyncio.sleep(READY_WAIT_SECONDS)

    async def _is_there_already(self, exchange: Exchange, spec: DeviceSpec, power: Power, refusal: DeviceError) -> None:
        """Read after a refusal: some BMCs refuse a command to the present state. Raises the refusal if it differs."""
        try:
            state = await self._power(exchange, spec)
        except DeviceError as exc:
            raise refusal from exc
        if state is not power:
            raise refusal


async def _action(exchange: Exchange, system: Json, wanted: Sequence[str]) -> tuple[str, str]:
    """Return the path of the Reset action and the type to send, the first of `wanted`. Raises NotSupported."""
    base = exchange.target.base
    action = part(system, "Actions", RESET_ACTION)
    path = action.get("target") if isinstance(action, dict) else None
    if not isinstance(action, dict) or not isinstance(path, str) or not path:
        raise NotSupported(f"{base}: the system has no Reset action", may_be_done=False)
    offered = action.get("ResetType@Redfish.AllowableValues")
    if not isinstance(offered, list) or not offered:
        offered = await _offered(exchange, action)
    # Without a list every type may work: some BMCs list none (DMTF/Redfishtool#24).
    reset_type = wanted[0] if not offered else next((name for name in wanted if name in offered), None)
    if reset_type is None:
        shown = [exchange.target.shown(str(name), characters_max=40) for name in offered[:RESET_TYPES_LISTED_MAX]]
        names = ", ".join(shown)
        raise NotSupported(f"{base}: the system offers no {wanted[0]}, only {names}", may_be_done=False)
    return path, reset_type


async def _offered(exchange: Exchange, action: Json) -> list[Any]:
    """Return the allowed values from the action's info resource; empty if there is none to read."""
    path = action.get("@Redfish.ActionInfo")
    if not isinstance(path, str) or not path:
        return []
    answer = await exchange.get_once(path)
    parameters = answer.body.get("Parameters") if answer.status == 200 else None
    for parameter in parameters if isinstance(parameters, list) else []:
        if isinstance(parameter, dict) and parameter.get("Name") == "ResetType":
            values = parameter.get("AllowableValues")
            return values if isinstance(values, list) else []
    return []


def _refusal(target: Target, reset_type: str, answer: Answer) -> DeviceError:
    """Return the error for an unsuccessful answer, with `may_be_done` false only if the status proves it."""
    text = f"{target.base} answered {reset_type} with {answer.status}{explanation(target, answer)}"
    if answer.status < 300:
        return DeviceError(text)  # not a refusal, whatever its messages say
    is_not_ready = answer.meaning is Meaning.NOT_READY
    if (answer.status in LOGIN_REFUSED and not is_not_ready) or answer.meaning is Meaning.LOGIN_REFUSED:
        return LoginRefused(text, may_be_done=False)
    if (answer.status in NO_SUCH_ACTION and not is_not_ready) or answer.meaning is Meaning.NOT_SUPPORTED:
        return NotSupported(text, may_be_done=False)
    # A gateway in the BMC may have passed the command on before it gave up.
    is_over = answer.status not in GATEWAY_GAVE_UP
    if answer.status in BUSY or is_not_ready:
        is_not_taken = answer.status == 429 or answer.retry_after is not None or is_not_ready
        return DeviceNotReady(text, may_be_done=not is_not_taken, is_end_known=is_not_taken or is_over)
    return DeviceError(text, is_end_known=is_over)
