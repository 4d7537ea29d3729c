"""Checks which machine a BMC belongs to, by its GUIDs and serial numbers, in the session that will act.

If the machine is the wrong one, or can't be identified, it raises an error and no command is sent.
"""

from collections.abc import AsyncIterator
from typing import Final

from fenced.drivers.ipmi import fru
from fenced.drivers.ipmi.commands import (
    GET_DEVICE_GUID,
    GET_SYSTEM_GUID,
    LENGTH_CODES,
    STORAGE,
    guid_of,
    guid_text,
)
from fenced.drivers.ipmi.packets import BadPacket, Request
from fenced.drivers.ipmi.visit import Visit
from fenced.model.identity import comparable, is_same_machine, is_uuid
from fenced.model.inventory import DeviceSpec
from fenced.model.text import Mask
from fenced.ports.devices import DeviceError, WrongMachine

FRU_ID: Final = 0
"""The inventory of the BMC's own machine (34.1)."""
READ_BYTES: Final = (32, 16, 8)
"""How many bytes of the inventory to request at once; the next smaller size if the BMC can't send that many."""
TOLD_CHARACTERS_MAX: Final = 300
READS_MAX: Final = 256
"""More than three whole areas, eight bytes at a time."""


async def check(visit: Visit, spec: DeviceSpec) -> None:
    """Return if the BMC reports the device's identity.

    Raises WrongMachine; DeviceError if the BMC reports no identity of that kind; SessionLost.
    """
    identity = spec.identity
    others: list[str] = []
    async for one, is_serial in _reports(visit):
        if is_same_machine(identity, (one,)):
            return
        if is_serial or is_uuid(identity):
            others.append(one)
    if others:
        # Some passwords are the serial number on the machine's label.
        shown = Mask(spec.all_secrets).line(", ".join(dict.fromkeys(others)), characters_max=TOLD_CHARACTERS_MAX)
        raise WrongMachine(
            f"{visit.who} belongs to {shown} and not to {identity}; no command was sent; check cables and addresses",
            may_be_done=False,
        )
    raise DeviceError(
        f"{visit.who} reports no {'GUID' if is_uuid(identity) else 'serial number'}, so it may not belong to "
        f"{identity}; correct `identity` or remove it",
        may_be_done=False,
    )


async def reported(visit: Visit, spec: DeviceSpec) -> tuple[str, ...]:
    """Return what distinguishes the machine: its system GUID, else the login's, else all serial numbers.

    The BMC's own GUID does not count: some vendors use one for all BMCs. Raises SessionLost.
    """
    guid = await _guid(visit, GET_SYSTEM_GUID) or guid_text(visit.guid)
    found = comparable([guid], secrets=spec.all_secrets)
    if not found:
        serials = [serial async for serial in _serials(visit)]
        found = comparable(serials, secrets=spec.all_secrets)
    return found


async def _reports(visit: Visit) -> AsyncIterator[tuple[str, bool]]:
    """Yield identities and whether each is a serial number, the cheapest first; RAKP 2 already holds the first one."""
    if guid := guid_text(visit.guid):
        yield guid, False
    for request in (GET_SYSTEM_GUID, GET_DEVICE_GUID):
        if guid := await _guid(visit, request):
            yield guid, False
    async for serial in _serials(visit):
        yield serial, True


async def _serials(visit: Visit) -> AsyncIterator[str]:
    """Yield the serials of chassis, board and product. Raises SessionLost."""
    inventory = _Inventory(visit)
    for area in fru.areas(await inventory.read(0, fru.HEADER_BYTES)):
        start = await inventory.read(area.offset, fru.HEADER_BYTES)
        content = await inventory.read(area.offset, fru.area_bytes(start))
        if serial := fru.serial(area, content):
            yield serial


async def _guid(visit: Visit, request: Request) -> str:
    """Return a GUID; "" if the BMC has none."""
    response = await visit.ask(request)
    if response.completion:
        return ""
    try:
        return guid_of(response)
    except BadPacket:
        return ""


class _Inventory:
    """FRU device 0, read piece by piece (34.2)."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._sizes = list(READ_BYTES)
        self._reads_left = READS_MAX

    async def read(self, offset: int, count: int) -> bytes:
        """Return these bytes, or as many as exist. Raises SessionLost."""
        content = b""
        while len(content) < count and self._reads_left:
            piece = await self._piece(offset + len(content), min(self._sizes[0], count - len(content)))
            if not piece:
                break
            content += piece
        return content[:count]

    async def _piece(self, offset: int, count: int) -> bytes:
        self._reads_left -= 1
        data = bytes((FRU_ID, offset & 0xFF, offset >> 8, count))
        response = await self._visit.ask(Request(network_function=STORAGE, command=0x11, data=data))
        if response.completion in LENGTH_CODES and len(self._sizes) > 1:
            del self._sizes[0]
            return await self._piece(offset, min(self._sizes[0], count)) if self._reads_left else b""
        if response.completion or len(response.data) < 2:
            return b""
        return response.data[1 : 1 + min(response.data[0], count)]
