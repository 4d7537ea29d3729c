"""An SNMP agent whose answers a test controls: late, twice, wrong, to other requests, or none.

It uses pyasn1, not the driver.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto.api import v2c

Oid = tuple[int, ...]
SYS_UP_TIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: whether it is a SET, its objects, and the message to answer."""

    is_set: bool
    oids: tuple[Oid, ...]
    message: Any

    def answer(self, *values: Any, status: int = 0, request_id: int | None = None, oids: tuple[Oid, ...] = ()) -> bytes:
        """Return a response with these values for the requested objects."""
        question = v2c.apiMessage.get_pdu(self.message)
        message = v2c.apiMessage.get_response(self.message)
        pdu = v2c.apiMessage.get_pdu(message)
        v2c.apiPDU.set_request_id(pdu, v2c.apiPDU.get_request_id(question) if request_id is None else request_id)
        v2c.apiPDU.set_error_status(pdu, status)
        v2c.apiPDU.set_error_index(pdu, 1 if status else 0)
        v2c.apiPDU.set_varbinds(pdu, list(zip(oids or self.oids, values, strict=True)))
        return bytes(encoder.encode(message))


Behaviour = Callable[[Asked], list[bytes]]


@dataclass
class Responder(asyncio.DatagramProtocol):
    """Its port, the received requests, and its `behaviour`, which may change at any time."""

    behaviour: Behaviour
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    _transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message, _ = decoder.decode(data, asn1Spec=v2c.Message())
        pdu = v2c.apiMessage.get_pdu(message)
        is_set = pdu.tagSet == v2c.SetRequestPDU.tagSet
        oids = tuple(tuple(int(part) for part in oid) for oid, _ in v2c.apiPDU.get_varbinds(pdu))
        asked = Asked(is_set, oids, message)
        self.asked.append(asked)
        for answer in self.behaviour(asked):
            self._transport.sendto(answer, addr)

    @property
    def sets(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_set]


def reads(number: int) -> Behaviour:
    """Every object has this INTEGER, except an uptime of a day; commands are accepted."""

    def behave(asked: Asked) -> list[bytes]:
        values = [v2c.TimeTicks(8_640_000) if oid == SYS_UP_TIME else v2c.Integer32(number) for oid in asked.oids]
        return [asked.answer(*values)]

    return behave


@asynccontextmanager
async def responder(behaviour: Behaviour) -> AsyncIterator[Responder]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(lambda: Responder(behaviour), local_addr=("127.0.0.1", 0))
    try:
        yield made
    finally:
        transport.close()
