"""Where BMCs differ: messages that mean something to us, and where a machine tells who it is. Data with its sources.

Knows no protocol and sends nothing. One rule: an entry names the public issue or the standard that it is taken from; what
the standard already says is handled in the driver for everybody, not here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from fenced.model.identity import is_identity


class Meaning(Enum):
    """What a message tells us to do, whatever status came with it."""

    NOT_READY = "not_ready"
    NO_SESSION_LEFT = "no_session_left"
    THERE_ALREADY = "there_already"
    LOGIN_REFUSED = "login_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`name`: the last part of its MessageId."""

    name: str
    meaning: Meaning
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPlace:
    """Where a system resource tells its identity. `makers`: whose systems (`makers_of`); empty: everybody's."""

    path: tuple[str, ...]
    source: str
    makers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """By what a maker's systems are told: beginnings of Manufacturer and of the UUID, keys of Oem, ids of systems."""

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
    )
}

IDENTITY_PLACES: Final = (
    IdentityPlace(
        path=("UUID",), source="DSP2046, ComputerSystem; either byte order: metal-stack/go-hal#57 (Supermicro)"
    ),
    IdentityPlace(path=("SerialNumber",), source="DSP2046, ComputerSystem"),
    # Elsewhere the SKU names a product, the same for many machines (bb-Ricardo/netbox-sync#375).
    IdentityPlace(path=("SKU",), makers=("dell",), source="ansible/ansible#53461: Dell's service tag"),
)

SIGNS: Final[Mapping[str, Signs]] = {
    "dell": Signs(
        names=("dell",),
        oem=frozenset({"dell"}),
        uuids=("4c4c4544", "44454c4c"),
        ids=frozenset({"System.Embedded.1", "System.Modular.1"}),
        source="dell/iDRAC-Redfish-Scripting#251; its UUIDs begin with its name backwards, in either byte order",
    )
}
"""By maker, what tells its systems where Manufacturer is blank, as it is after a system board was replaced."""

NEITHER_LETTER_NOR_DIGIT: Final = re.compile(r"[^0-9a-z]")


def identities(system: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything by which the system tells itself from other machines; empty where it tells nothing that does."""
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
    """Whose system it is. A Manufacturer that is told counts alone; a blank one leaves it to the other signs."""
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
