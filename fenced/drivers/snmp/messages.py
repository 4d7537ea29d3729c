"""Packs and parses SNMP messages of versions 1 and 2c (RFC 1157, 3416), with pysnmp's ASN.1.

Import it only for the first SNMP device: pysnmp costs 60 ms and 16 MiB. Anything that can't be decoded, or does not
answer the request, parses to None.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pysnmp.error import PySnmpError
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.api import v1, v2c

from fenced.drivers.snmp.tables import Oid

UNDECODABLE: Final = (
    PyAsn1Error, PySnmpError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError,
    RecursionError,
)  # fmt: skip
"""What the libraries raise for malformed messages, as found with random bytes."""
MESSAGE_BYTES_MAX: Final = 2048
"""Expected answers have a few hundred bytes. Decoding takes 30 microseconds a byte and blocks all other devices."""
ERROR_MAX: Final = 2**31 - 1
VERSION_1: Final = 0
VERSION_2C: Final = 1
_MISSING: Final = (rfc1905.noSuchObject.tagSet, rfc1905.noSuchInstance.tagSet, rfc1905.endOfMibView.tagSet)


class ValueKind(Enum):
    """The type of an object's value. OTHER: any type that no outlet table uses."""

    INTEGER = "integer"
    TICKS = "ticks"
    OID = "oid"
    MISSING = "missing"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One object's value: `number` for INTEGER and TICKS (hundredths of a second), `oid` for OID."""

    kind: ValueKind
    number: int = 0
    oid: Oid = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GET of `oids`, or with `value` a SET of the single one."""

    request_id: int
    oids: tuple[Oid, ...]
    value: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An agent's answer. `error_status` 0: no error; `error_index` counts the objects from 1."""

    error_status: int
    error_index: int
    values: tuple[tuple[Oid, Value], ...]


def pack_community(version: int, community: str, request: Request) -> bytes:
    """Pack a message of version 1 or 2c."""
    interface = v1 if version == VERSION_1 else v2c
    message = interface.Message()
    interface.apiMessage.set_defaults(message)
    interface.apiMessage.set_community(message, community.encode())
    interface.apiMessage.set_pdu(message, pdu_of(request, version))
    return bytes(encoder.encode(message))


def unpack_community(version: int, data: bytes, request_id: int) -> Response | None:
    """Return the answer to that request, or None. The community is not compared: in an answer it proves nothing."""
    if len(data) > MESSAGE_BYTES_MAX:
        return None
    interface = v1 if version == VERSION_1 else v2c
    try:
        message, _ = decoder.decode(data, asn1Spec=interface.Message())
        if int(interface.apiMessage.get_version(message)) != version:
            return None
        return response_of(interface.apiMessage.get_pdu(message), request_id)
    except UNDECODABLE:
        return None


def pdu_of(request: Request, version: int = VERSION_2C) -> Any:
    """Return the protocol data unit of a request."""
    interface = v1 if version == VERSION_1 else v2c
    pdu = interface.GetRequestPDU() if request.value is None else interface.SetRequestPDU()
    interface.apiPDU.set_defaults(pdu)
    interface.apiPDU.set_request_id(pdu, request.request_id)
    # Integer32 has the same tag and range in both versions.
    value = interface.null if request.value is None else rfc1902.Integer32(request.value)
    interface.apiPDU.set_varbinds(pdu, [(oid, value) for oid in request.oids])
    return pdu


def response_of(pdu: Any, request_id: int) -> Response | None:
    """Return the response if it answers that request, else None. May raise any of UNDECODABLE."""
    if pdu.tagSet != rfc1905.ResponsePDU.tagSet or int(pdu[0]) != request_id:
        return None
    status, index = int(pdu[1]), int(pdu[2])
    if not (0 <= status <= ERROR_MAX and 0 <= index <= ERROR_MAX):
        return None
    return Response(
        error_status=status,
        error_index=index,
        values=tuple((tuple(map(int, bind[0])), _value(bind[1])) for bind in pdu[3]),
    )


def _value(held: Any) -> Value:
    """Unwrap a value: versions 1 and 2c nest it in different choices."""
    while hasattr(held, "getComponent"):
        held = held.getComponent()
    tags = held.tagSet
    if tags == rfc1902.Integer32.tagSet:
        return Value(kind=ValueKind.INTEGER, number=int(held))
    if tags == rfc1902.TimeTicks.tagSet:
        return Value(kind=ValueKind.TICKS, number=int(held))
    if tags == v2c.ObjectIdentifier.tagSet:
        return Value(kind=ValueKind.OID, oid=tuple(map(int, held)))
    return Value(kind=ValueKind.MISSING if tags in _MISSING else ValueKind.OTHER)
