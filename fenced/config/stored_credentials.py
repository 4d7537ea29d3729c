"""`[credentials.NAME]` of the proxy agent's file: stored logins, and the devices that each may be sent to.

A credential without addresses is a mistake: the proxy would send it wherever a daemon asks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic_core import PydanticCustomError

from fenced.config import places
from fenced.config.common_names import common_names
from fenced.config.keys import FileName, Listed, Name, Tables, Text
from fenced.config.mistakes import Mistakes, Where
from fenced.config.secret_sources import SOURCES, SecretReader
from fenced.config.table import Table
from fenced.config.validate import parse
from fenced.model.credentials import ADDRESS_OPTIONS, AddressRule, StoredCredential
from fenced.model.inventory import Secret
from fenced.model.option_values import PINS, Lent, lent, plain


class CredentialTable(Table):
    username: Annotated[str, Text("user name at the device")] = ""
    password_file: Annotated[str, FileName("file with the password on one line")] = ""
    password_env: Annotated[str, Text("or: the environment variable that holds it")] = ""
    password_credential: Annotated[str, Text("or: the systemd credential that holds it")] = ""
    secrets: Annotated[
        dict[str, Any], Tables("further secrets, each as NAME_file, NAME_env or NAME_credential", is_list=False)
    ] = Field(default_factory=dict)
    addresses: Annotated[
        tuple[str, ...],
        Listed(
            "devices it may be sent to: `HOST`, `HOST:PORT`, `https://HOST`, a network, `*.bmc.example.org`; required",
            item=Text(""),
        ),
    ] = ()
    drivers: Annotated[tuple[str, ...], Listed("drivers that may use it; [] = any", item=Name(""))] = ()
    clients: Annotated[
        tuple[str, ...], Listed("daemons that may use it, as CN=fenced-a; [] = all of `allow`", item=Text(""))
    ] = ()
    options: Annotated[
        tuple[str, ...],
        Listed("further options that a call may set beside it, for example snmp_priv_prot", item=Name("")),
    ] = ()
    pins: Annotated[
        dict[str, Any],
        Tables(
            "options that are fixed here and that no call may set: which device to trust, as `{ fingerprint = ... }` "
            "or `{ ssl_insecure = true }`, and the transport, as `{ lanplus = true }` or `{ secure = true }`",
            is_list=False,
        ),
    ] = Field(default_factory=dict)


UNPINNED: Final = frozenset({*ADDRESS_OPTIONS, "plug", "port", "action", "option"})


def stored_credentials(
    given: Mapping[str, object], where: Where, base: Path, secrets: SecretReader, mistakes: Mistakes
) -> dict[str, StoredCredential]:
    """Return all of them by name; report every mistake."""
    stored: dict[str, StoredCredential] = {}
    for name, raw in given.items():
        place = where.key(str(name))
        try:
            Name("").check(name)
        except PydanticCustomError as exc:
            mistakes.error(place, exc.message(), value=name, unit="name")
        if not isinstance(raw, Mapping):
            mistakes.error(place, "must be a table: [credentials.NAME]", unit="table")
            continue
        table = parse(CredentialTable, raw, place, mistakes).table
        stored[str(name)] = _stored(table, place, base, secrets, mistakes)
    return stored


def _stored(
    table: CredentialTable, where: Where, base: Path, secrets: SecretReader, mistakes: Mistakes
) -> StoredCredential:
    if not table.addresses:
        mistakes.error(
            where.key("addresses"), "is missing: list the addresses that this login may be sent to", unit="list"
        )
    return StoredCredential(
        username=table.username,
        password=secrets.password(table, where, base),
        secrets=tuple(_further(table.secrets, where.key("secrets"), base, secrets, mistakes)),
        addresses=tuple(_rules(table.addresses, where.key("addresses"), mistakes)),
        drivers=frozenset(table.drivers),
        clients=common_names(table.clients, where.key("clients"), mistakes),
        options=frozenset(_options(table.options, where.key("options"), mistakes)),
        pins=dict(_pins(table.pins, where.key("pins"), base, mistakes)),
    )


def _options(names: tuple[str, ...], where: Where, mistakes: Mistakes) -> Iterator[str]:
    for index, name in enumerate(names):
        if plain(name) in PINS:
            mistakes.error(
                where.item(index), "decides which device to trust, so no call may set it: use pins", value=name
            )
        yield name


def _pins(
    given: Mapping[str, Any], where: Where, base: Path, mistakes: Mistakes
) -> Iterator[tuple[str, str | int | float | bool]]:
    for key, value in given.items():
        name, place = str(key), where.key(str(key))
        if plain(name) in UNPINNED:
            mistakes.error(
                place,
                "can't be pinned: addresses limits where the login may go, and each call names its plug",
                unit="option",
            )
        elif not isinstance(value, str | int | float | bool) or (isinstance(value, str) and not value.isprintable()):
            mistakes.error(place, "must be text, a number, true or false", value=value, unit="option")
        elif lent(name) is Lent.FILE:
            yield name, str(places.existing_file(str(value), base, place, mistakes) or "")
        else:
            yield name, value


def _further(
    given: Mapping[str, Any], where: Where, base: Path, secrets: SecretReader, mistakes: Mistakes
) -> Iterator[tuple[str, Secret]]:
    """Yield (the name that the driver or agent uses, the secret) for each key."""
    for key, value in given.items():
        name, _, source = str(key).rpartition("_")
        if not name or source not in SOURCES or not isinstance(value, str):
            mistakes.error(
                where.key(str(key)), "a secret is never written inline: use NAME_file, NAME_env or NAME_credential"
            )
            continue
        secret = secrets.secret(name, {source: value}, where, base)
        if secret is not None:
            yield name, secret


def _rules(addresses: tuple[str, ...], where: Where, mistakes: Mistakes) -> Iterator[AddressRule]:
    for index, text in enumerate(addresses):
        try:
            yield AddressRule.parse(text)
        except ValueError as exc:
            mistakes.error(where.item(index), str(exc), value=text, unit="address")
