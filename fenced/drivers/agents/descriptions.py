"""Describes a fence agent as a driver, from its name and, where available, its metadata.

It reads no files and runs nothing. An agent that can't prove a power-off is refused here, with the reason.
"""

from collections.abc import Iterator
from typing import Final

from fenced.drivers.agents.kinds import default_kind, default_port, family, is_bmc
from fenced.drivers.agents.metadata import (
    ADDRESS_NAMES,
    PASSWORD_NAMES,
    PLUG_NAMES,
    USERNAME_NAMES,
    AgentMetadata,
    Parameter,
    is_yes,
    normal,
)
from fenced.drivers.agents.options import RESERVED, rules_for
from fenced.drivers.agents.parameters import PASSWORD_REFERENCE, SECRET
from fenced.drivers.agents.reviews import Standing, cautions_of, judge
from fenced.drivers.agents.values import shapes_for
from fenced.model.drivers import DriverDescription, NoSuchDriver, Option, OptionKind
from fenced.model.power import Kind

ADDRESS_OPTIONS: Final = (*ADDRESS_NAMES, "hostname", "host")
PORT_OPTIONS: Final = ("ipport", "udpport")
QUALIFIERS: Final = (
    "switch", "system", "systems_uri", "systems-uri", "suborg", "managed", "module_name", "namespace",
    "project", "pve_node", "region", "zone", "resourceGroup", "subscriptionId", "node_name", "target",
)  # fmt: skip
"""Parameters that tell apart plugs with the same number at one address."""

APART_OPTIONS: Final = (
    *ADDRESS_OPTIONS, "api_url", "auth_url", "channel_address", "cloud", "compute_domain", "crn", "ecloud_vpc",
    "instance", "kubeconfig", "multicast_address", "openrc", "project_name", "region_name", "serial_device",
    "session_url", "status_file", "tenant_name", "type", "unix_socket", "vsock",
)  # fmt: skip
"""Parameters that locate a plug without an address. Other parameters may differ between two entries for one plug."""

SETTLE_SECONDS: Final = {Kind.CHASSIS: 60.0, Kind.OUTLET: 10.0}
"""A BMC that has just started may read Off for about a minute while its host runs.
A PDU delays its outlets by seconds."""

_KINDS: Final = {
    "boolean": OptionKind.BOOLEAN,
    "integer": OptionKind.INTEGER,
    "second": OptionKind.INTEGER,  # the library reads it with int()
}
_SET_BY: Final = {
    **dict.fromkeys(ADDRESS_NAMES, "address"),
    **dict.fromkeys(USERNAME_NAMES, "username"),
    **dict.fromkeys(PASSWORD_NAMES, "password_file"),
}


def describe_agent(name: str, metadata: AgentMetadata, *, is_installed: bool = True) -> DriverDescription:
    """Describe the agent; without metadata, by its name alone.

    Raises NoSuchDriver if it can't serve as power device.
    """
    judgement = judge(name, metadata)
    if judgement.standing is Standing.REFUSED:
        raise NoSuchDriver(judgement.why)
    kind = default_kind(name)
    return DriverDescription(
        name=name,
        about=metadata.description,
        kind=kind,
        options=tuple(_options(metadata)),
        secrets=tuple(secret_names(metadata)),
        plug_options=PLUG_NAMES,
        qualifiers=QUALIFIERS,
        default_port=default_port(name),
        is_one_plug=is_bmc(name),
        is_address_needed=metadata.is_required(ADDRESS_NAMES),
        is_open_ended=not metadata.is_known,
        settle_seconds=SETTLE_SECONDS[kind],
        family=family(name),
        address_options=ADDRESS_OPTIONS,
        port_options=PORT_OPTIONS,
        is_agent=True,
        is_installed=is_installed,
        cautions=(*cautions_of(name), *(_cautions(metadata) if is_installed else ())),
        needs_word="" if judgement.standing is Standing.REVIEWED else judgement.why,
        rules=rules_for(name),
        shapes=shapes_for(name),
        apart_options=APART_OPTIONS,
    )


def secret_names(metadata: AgentMetadata) -> Iterator[str]:
    """Yield the parameters that `secrets = {}` may set: named like a secret, but not the password itself."""
    for name in metadata.parameters:
        plain = normal(name)
        if SECRET.search(plain) and not PASSWORD_REFERENCE.search(plain) and plain not in PASSWORD_NAMES:
            yield name


def set_by(name: str) -> str:
    """Return the device key that sets a parameter; "" if `options` sets it."""
    return _SET_BY.get(normal(name), "")


def _options(metadata: AgentMetadata) -> Iterator[Option]:
    renamed = {parameter.obsoletes: name for name, parameter in metadata.parameters.items() if parameter.obsoletes}
    for name, parameter in metadata.parameters.items():
        if normal(name) not in RESERVED:
            also = metadata.names_of(name) - {name}
            yield _option(parameter, renamed.get(name, ""), tuple(sorted(also)))


def _option(parameter: Parameter, renamed_to: str, also: tuple[str, ...]) -> Option:
    # The plug defaults to the host's name, and the agent fills in its own defaults, so neither is required here.
    is_required = parameter.is_required and not parameter.default and normal(parameter.name) not in PLUG_NAMES
    return Option(
        name=parameter.name,
        about=parameter.description,
        kind=_KINDS.get(parameter.kind, OptionKind.TEXT),
        choices=parameter.values,
        default=is_yes(parameter.default) if parameter.kind == "boolean" else parameter.default,
        is_required=is_required,
        is_deprecated=parameter.is_deprecated,
        renamed_to=renamed_to,
        set_by=set_by(parameter.name),
        also=also,
    )


def _cautions(metadata: AgentMetadata) -> Iterator[str]:
    if not metadata.is_known:
        why = metadata.why_unknown or "it gave none"
        yield f"its metadata is not available ({why}): fenced passes its options on unchecked"
        return
    if "on" not in metadata.actions:
        yield "it has no action `on`: an operator must switch on what it switched off"
    missing_as_off = metadata.parameter("missing_as_off")
    if missing_as_off is not None and is_yes(missing_as_off.default):
        yield "this agent takes a plug that it does not find for off: a misspelt plug would be announced as fenced"
