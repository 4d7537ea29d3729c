"""The IPMI 2.0 commands that fencing needs, and the meaning of their answers.

Only a well-formed Chassis Status with completion code 0 means ON or OFF.
"""

from dataclasses import dataclass
from typing import Final

from fenced.drivers.ipmi.packets import BadPacket, Request, Response
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceNotReady, LoginRefused, NotSupported

CHASSIS: Final = 0x00
APPLICATION: Final = 0x06
STORAGE: Final = 0x0A

GET_DEVICE_ID: Final = Request(network_function=APPLICATION, command=0x01)
GET_DEVICE_GUID: Final = Request(network_function=APPLICATION, command=0x08)
GET_SYSTEM_GUID: Final = Request(network_function=APPLICATION, command=0x37)
GET_CHASSIS_STATUS: Final = Request(network_function=CHASSIS, command=0x01)
POWER_DOWN: Final = 0x00
POWER_UP: Final = 0x01
SOFT_SHUTDOWN: Final = 0x05
CHASSIS_CONTROLS: Final = {
    Power.OFF: Request(network_function=CHASSIS, command=0x02, data=bytes((POWER_DOWN,))),
    Power.ON: Request(network_function=CHASSIS, command=0x02, data=bytes((POWER_UP,))),
}
"""28.3. Power down is immediate. Cycle, reset and soft shutdown do not fence (S7)."""
CHASSIS_SOFT_OFF: Final = Request(network_function=CHASSIS, command=0x02, data=bytes((SOFT_SHUTDOWN,)))
"""28.3: "initiate a soft-shutdown of OS via ACPI by emulating a fatal overtemperature" (S24). Optional for a BMC."""
USER: Final = 0x02
OPERATOR: Final = 0x03
ADMINISTRATOR: Final = 0x04
NOT_AVAILABLE: Final = 0x80
"""Bit in Get Device ID: the BMC updates its firmware or records, or starts (20.1)."""
IS_ON: Final = 0x01
GUID_BYTES: Final = 16

IN_PRESENT_STATE: Final = frozenset({0xD5, 0xCC})
"""Codes of some BMCs for a command to the present state: not in present state, invalid data."""
LENGTH_CODES: Final = frozenset({0xC7, 0xC8, 0xCA, 0xFF})
"""Codes of BMCs for a read of more than they can send at once."""
NOT_READY: Final = frozenset({0xC0, 0xC3, 0xD0, 0xD1, 0xD2})
NOT_SUPPORTED: Final = frozenset({0xC1, 0xC2, 0xD6})
NO_SUCH_CONTROL: Final = frozenset({0xC9, 0xCC})
"""Codes of BMCs that know Chassis Control, but not the optional control in it: out of range, invalid data."""
NOT_PRIVILEGED: Final = 0xD4
IN_DOUBT: Final = frozenset({0xC3, 0xCE, 0xCF, 0xFF})
"""After these codes a command may have been done."""
TEXTS: Final = {
    0xC0: "busy",
    0xC1: "no such command",
    0xC2: "no such command on this unit",
    0xC3: "the command timed out",
    0xC4: "out of space",
    0xC9: "parameter out of range",
    0xCB: "no such record",
    0xCC: "invalid data",
    0xCE: "no response available",
    0xCF: "a duplicate request",
    0xD0: "its records are being updated",
    0xD1: "its firmware is being updated",
    0xD2: "it is starting",
    0xD3: "destination unavailable",
    0xD4: "insufficient privilege",
    0xD5: "not in its present state",
    0xD6: "disabled",
    0xFF: "unspecified error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceId:
    """`is_available`: the BMC works normally; false: it is starting or being updated."""

    is_available: bool


def set_session_privilege(level: int) -> Request:
    """22.18. A session starts as USER, whatever privilege its login requested."""
    return Request(network_function=APPLICATION, command=0x3B, data=bytes((level,)))


def close_session(bmc_id: int) -> Request:
    """22.19."""
    return Request(network_function=APPLICATION, command=0x3C, data=bmc_id.to_bytes(4, "little"))


def power_of(response: Response) -> Power:
    """28.2. Raises BadPacket."""
    if len(response.data) < 3:
        raise BadPacket("the Chassis Status is too short")
    return Power.ON if response.data[0] & IS_ON else Power.OFF


def device_id_of(response: Response) -> DeviceId:
    """20.1. Raises BadPacket."""
    if len(response.data) < 11:
        raise BadPacket("the Device ID is too short")
    return DeviceId(is_available=not response.data[2] & NOT_AVAILABLE)


def guid_of(response: Response) -> str:
    """Return the GUID in hexadecimal; "" if it is not set. Raises BadPacket."""
    if len(response.data) != GUID_BYTES:
        raise BadPacket("the GUID has the wrong length")
    return guid_text(response.data)


def guid_text(guid: bytes) -> str:
    """Return the GUID in hexadecimal; "" if all bytes are equal: not set (all zeros, all ones) or a placeholder."""
    return "" if len(set(guid)) <= 1 else guid.hex()


def refusal(who: str, what: str, completion: int, *, is_command: bool = False) -> DeviceError:
    """Return the error for a completion code other than 0 (table 5-2)."""
    text = f"{who}: {what}: {TEXTS.get(completion, 'refused')} (completion code {completion:02x})"
    in_doubt = is_command and completion in IN_DOUBT
    if completion == NOT_PRIVILEGED:
        return LoginRefused(f"{text}; grant the user that privilege, or set the option `privilege`", may_be_done=False)
    if completion in NOT_READY:
        return DeviceNotReady(text, may_be_done=in_doubt, is_end_known=not in_doubt)
    if completion in NOT_SUPPORTED:
        return NotSupported(text, may_be_done=False)
    return DeviceError(text, may_be_done=in_doubt, is_end_known=not in_doubt)
