"""The differences between BMCs as data with sources: messages with a special meaning, places of identities.

Each entry names the public issue or the standard that it comes from. Behaviour that the standard defines for all BMCs
belongs in the driver, not here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from fenced.model.identity import is_identity


class Meaning(Enum):
    """What a message means, whatever the status of its answer."""

    NOT_READY = "not_ready"
    NO_SESSION_LEFT = "no_session_left"
    THERE_ALREADY = "there_already"
    LOGIN_REFUSED = "login_refused"
    NOT_SUPPORTED = "not_supported"
    """The service does not know the action or its value, so it did nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`name`: the last part of its MessageId."""

    name: str
    meaning: Meaning
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPlace:
    """Where a system resource holds an identity. `makers`: only for their systems (`makers_of`); empty: for all."""

    path: tuple[str, ...]
    source: str
    makers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """How to recognise a maker's systems: beginnings of Manufacturer and UUID, keys of Oem, ids of systems."""

    names: tuple[str, ...]
    oem: frozenset[str]
    uuids: tuple[str, ...]
    ids: frozenset[str]
    source: str


MESSAGES: Final[Mapping[str, Message]] = {
    message.name: message
    for message in (
        Message(name="SYS518", meaning=Meaning.NOT_READY, source="ironcore-dev/metal-operator#170 (iDRAC)"),
        Message(
            name="SWC0700",
            meaning=Meaning.NOT_READY,
            source="quadsproject/badfish#129 (iDRAC, with a 400 to a GET)",
        ),
        Message(name="ResourceInStandby", meaning=Meaning.NOT_READY, source="DSP2065, Base"),
        Message(
            name="ServiceTemporarilyUnavailable",
            meaning=Meaning.NOT_READY,
            source="ironcore-dev/metal-operator#170 (iDRAC); DSP2065, Base",
        ),
        Message(name="ServiceInUnknownState", meaning=Meaning.NOT_READY, source="DSP2065, Base"),
        Message(name="ServiceShuttingDown", meaning=Meaning.NOT_READY, source="DSP2065, Base"),
        Message(name="ResourceNotReadyRetry", meaning=Meaning.NOT_READY, source="bb-Ricardo/check_redfish#170 (iLO)"),
        Message(
            name="ResetInProgress", meaning=Meaning.NOT_READY, source="HewlettPackard/PowerShell-ProLiant-SDK#40 (iLO)"
        ),
        Message(
            name="RAC0218",
            meaning=Meaning.NO_SESSION_LEFT,
            source="stmcginnis/gofish#75, bb-Ricardo/check_redfish#89 (iDRAC)",
        ),
        Message(name="SessionLimitExceeded", meaning=Meaning.NO_SESSION_LEFT, source="DSP2065, Base"),
        Message(
            name="PSU501",
            meaning=Meaning.THERE_ALREADY,
            source="dell/dellemc-openmanage-ansible-modules#132 (iDRAC)",
        ),
        Message(
            name="InvalidOperationForSystemState",
            meaning=Meaning.THERE_ALREADY,
            source="goldyfruit/ansible-ilo#1 (iLO)",
        ),
        Message(name="AccessDenied", meaning=Meaning.LOGIN_REFUSED, source="lenovo/python-redfish-lenovo#308 (XCC)"),
        Message(name="PasswordChangeRequired", meaning=Meaning.LOGIN_REFUSED, source="openbmc/bmcweb#103 (OpenBMC)"),
        Message(name="InsufficientPrivilege", meaning=Meaning.LOGIN_REFUSED, source="DSP2065, Base"),
        Message(name="ActionNotSupported", meaning=Meaning.NOT_SUPPORTED, source="DSP2065, Base"),
        Message(name="ActionParameterNotSupported", meaning=Meaning.NOT_SUPPORTED, source="DSP2065, Base"),
        Message(name="ActionParameterUnknown", meaning=Meaning.NOT_SUPPORTED, source="DSP2065, Base"),
        Message(name="ActionParameterValueNotInList", meaning=Meaning.NOT_SUPPORTED, source="DSP2065, Base"),
    )
}

IDENTITY_PLACES: Final = (
    IdentityPlace(
        path=("UUID",), source="DSP2046, ComputerSystem; either byte order: metal-stack/go-hal#57 (Supermicro)"
    ),
    IdentityPlace(path=("SerialNumber",), source="DSP2046, ComputerSystem"),
    # For other makers the SKU names a product that many machines share (bb-Ricardo/netbox-sync#375).
    IdentityPlace(path=("SKU",), makers=("dell",), source="ansible/ansible#53461: Dell's service tag"),
)

SIGNS: Final[Mapping[str, Signs]] = {
    "dell": Signs(
        names=("dell",),
        oem=frozenset({"dell"}),
        uuids=("4c4c4544", "44454c4c"),
        ids=frozenset({"System.Embedded.1", "System.Modular.1"}),
        source="dell/iDRAC-Redfish-Scripting#251; its UUIDs begin with its name reversed, in either byte order",
    )
}
"""By maker, the signs of its systems if Manufacturer is blank, as after a replacement of the system board."""

NEITHER_LETTER_NOR_DIGIT: Final = re.compile(r"[^0-9a-z]")


def identities(system: Mapping[str, Any]) -> tuple[str, ...]:
    """Return all identities of the system; empty if it reports none."""
    makers = makers_of(system)
    found = []
    for place in IDENTITY_PLACES:
        if place.makers and makers.isdisjoint(place.makers):
            continue
        value: object = system
        for key in place.path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and is_identity(value):
            found.append(value)
    return tuple(found)


def makers_of(system: Mapping[str, Any]) -> frozenset[str]:
    """Return the system's maker. Manufacturer decides if it is set; otherwise the other signs do."""
    told = _lower(system.get("Manufacturer"))
    if told and is_identity(told):
        return frozenset(maker for maker, signs in SIGNS.items() if told.startswith(signs.names))
    oem = system.get("Oem")
    keys = {key.lower() for key in oem} if isinstance(oem, dict) else set()
    uuid = NEITHER_LETTER_NOR_DIGIT.sub("", _lower(system.get("UUID")))
    identity = system.get("Id")
    return frozenset(
        maker
        for maker, signs in SIGNS.items()
        if keys & signs.oem or uuid.startswith(signs.uuids) or (isinstance(identity, str) and identity in signs.ids)
    )


def _lower(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
