"""Which machine a BMC belongs to: the GUIDs and serial numbers that it tells, compared in the session that will act.

Knows what to ask and in which order, not who waits for the answer. One rule: a machine that can't be told is an error like
a wrong one; nothing is sent to it.
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
"""How much of the inventory is asked for at once: less where the BMC can't send that much."""
TOLD_CHARACTERS_MAX: Final = 300
READS_MAX: Final = 256
"""More than three whole areas, eight bytes at a time."""


async def check(visit: Visit, spec: DeviceSpec) -> None:
    """Returns when the BMC tells the device's identity. Raises WrongMachine, DeviceError where it tells none of that kind,
    SessionLost."""
    identity = spec.identity
    others: list[str] = []
    async for one, is_serial in _tellings(visit):
        if is_same_machine(identity, (one,)):
            return
        if is_serial or is_uuid(identity):
            others.append(one)
    if others:
        # Some passwords are what stands on the machine's label.
        shown = Mask(spec.all_secrets).line(", ".join(dict.fromkeys(others)), characters_max=TOLD_CHARACTERS_MAX)
        raise WrongMachine(f"{visit.who} belongs to {shown} and not to {identity}; nothing was sent", may_be_done=False)
    raise DeviceError(
        f"{visit.who} tells no {'GUID' if is_uuid(identity) else 'serial number'}, so nobody knows whether it belongs "
        f"to {identity}; correct `identity` or remove it",
        may_be_done=False,
    )


async def told(visit: Visit, spec: DeviceSpec) -> tuple[str, ...]:
    """What tells the machine from others: its system GUID, or that of the login; where it has neither, all of its serial
    numbers, which cost many questions. The GUID of the BMC itself says nothing here: some makers give all of them one.
    Raises SessionLost."""
    guid = await _guid(visit, GET_SYSTEM_GUID) or guid_text(visit.guid)
    found = comparable([guid], secrets=spec.all_secrets)
    if not found:
        serials = [serial async for serial in _serials(visit)]
        found = comparable(serials, secrets=spec.all_secrets)
    return found


async def _tellings(visit: Visit) -> AsyncIterator[tuple[str, bool]]:
    """What the BMC tells, the cheapest first; whether it is a serial number. The first one cost nothing: RAKP 2 holds it."""
    if guid := guid_text(visit.guid):
        yield guid, False
    for request in (GET_SYSTEM_GUID, GET_DEVICE_GUID):
        if guid := await _guid(visit, request):
            yield guid, False
    async for serial in _serials(visit):
        yield serial, True


async def _serials(visit: Visit) -> AsyncIterator[str]:
    """Of the chassis, the board and the product. Raises SessionLost."""
    inventory = _Inventory(visit)
    for area in fru.areas(await inventory.read(0, fru.HEADER_BYTES)):
        start = await inventory.read(area.offset, fru.HEADER_BYTES)
        content = await inventory.read(area.offset, fru.area_bytes(start))
        if serial := fru.serial(area, content):
            yield serial


async def _guid(visit: Visit, request: Request) -> str:
    """ "" where the BMC has none."""
    response = await visit.ask(request)
    if response.completion:
        return ""
    try:
        return guid_of(response)
    except BadPacket:
        return ""


class _Inventory:
    """FRU device 0, read by and by (34.2)."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._sizes = list(READ_BYTES)
        self._reads_left = READS_MAX

    async def read(self, offset: int, count: int) -> bytes:
        """As many of these bytes as there are. Raises SessionLost."""
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
