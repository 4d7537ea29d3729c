"""Parses a device's configuration for the IPMI driver: address, user, keys, cipher suites, privilege.

Mistakes are reported here, before anything is sent, and never with a secret in the text.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from fenced.drivers.ipmi.cipher import SUITE_3, SUITE_17, Suite
from fenced.drivers.ipmi.commands import ADMINISTRATOR, OPERATOR
from fenced.drivers.ipmi.login import Credentials
from fenced.model.drivers import DriverDescription, Option
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Kind
from fenced.ports.devices import BadParameters

PORT: Final = 623
USERNAME_BYTES_MAX: Final = 16
KEY_BYTES_MAX: Final = 20
CIPHERS: Final[dict[str, tuple[Suite, ...]]] = {"auto": (SUITE_17, SUITE_3), "17": (SUITE_17,), "3": (SUITE_3,)}
PRIVILEGES: Final = {"operator": OPERATOR, "administrator": ADMINISTRATOR}
LOOKUPS: Final = {"name": True, "name_and_privilege": False}
KG: Final = "kg"
SETTLE_SECONDS: Final = 30.0
"""After an outage a BMC may have restarted.
It answers before it knows its host's state: OpenBMC then read Off (openbmc issues 1094, 1572, 2224). The bit `device
available` covers the states that the BMC itself reports; this time covers the rest."""

DESCRIPTION: Final = DriverDescription(
    name="ipmi",
    about="a BMC that speaks IPMI 2.0 over LAN (RMCP+)",
    kind=Kind.CHASSIS,
    options=(
        Option(
            name="cipher",
            about="cipher suite: 17 (SHA-256), 3 (SHA-1), or auto: 17, else 3 if the BMC does not support 17",
            choices=tuple(CIPHERS),
            default="auto",
        ),
        Option(
            name="privilege",
            about="privilege of the session; operator suffices to switch",
            choices=tuple(PRIVILEGES),
            default="operator",
        ),
        Option(
            name="lookup",
            about="how the BMC looks up the user: by name, or by name_and_privilege",
            choices=tuple(LOOKUPS),
            default="name",
        ),
    ),
    secrets=(KG,),
    default_port=PORT,
    is_one_plug=True,
    can_identify=True,
    settle_seconds=SETTLE_SECONDS,
    can_tell_ready=True,
    can_soft_off=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The parsed settings of one device. `suites`: those to try, in this order."""

    host: str
    port: int
    credentials: Credentials
    suites: tuple[Suite, ...]

    @property
    def who(self) -> str:
        """The BMC's name in messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def settings(spec: DeviceSpec) -> Settings:
    """Parse a device's settings. Raises BadParameters."""
    unknown = sorted(set(spec.options) - {option.name for option in DESCRIPTION.options})
    if unknown:
        names = ", ".join(option.name for option in DESCRIPTION.options)
        raise bad(f"unknown options {', '.join(unknown)}; it has {names}")
    further = sorted({name for name, _ in spec.secrets} - {KG})
    if further:
        raise bad(f"unknown secrets {', '.join(further)}; it has {KG}")
    host, port = host_and_port(spec.address)
    suites = CIPHERS[_choice(spec, "cipher")]
    credentials = Credentials(
        username=_bytes("the user name", spec.username, USERNAME_BYTES_MAX),
        password=_bytes("the password", spec.password.reveal() if spec.password else "", KEY_BYTES_MAX),
        kg=_kg(spec.secret(KG)),
        privilege=PRIVILEGES[_choice(spec, "privilege")],
        is_name_only=LOOKUPS[_choice(spec, "lookup")],
    )
    return Settings(host=host, port=port, credentials=credentials, suites=suites)


def host_and_port(address: str) -> tuple[str, int]:
    """Parse HOST, HOST:PORT, an IPv6 address, or [IPv6]:PORT. Raises BadParameters."""
    text = address.strip()
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        if port and not port.startswith(":"):
            raise bad(f"address {address!r} is not HOST[:PORT]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if ":" in host and not _is_ipv6(host):
        raise bad(f"address {address!r} is not HOST[:PORT] or [IPv6]:PORT")
    if not host or any(character in " /@" or not character.isprintable() for character in host):
        raise bad(f"address {address!r} is not HOST[:PORT]")
    if not port:
        return host, PORT
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise bad(f"address {address!r} has no port between 1 and 65535")
    return host, int(port)


def bad(why: str) -> BadParameters:
    return BadParameters(f"ipmi: {why}", may_be_done=False)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _choice(spec: DeviceSpec, name: str) -> str:
    option = DESCRIPTION.option(name)
    assert option is not None
    given = str(spec.options.get(name, option.default))
    if given not in option.choices:
        hint = "; the driver uses no suite without authentication or encryption" if name == "cipher" else ""
        raise bad(f"{name} must be one of {', '.join(option.choices)}{hint}")
    return given


def _bytes(what: str, text: str, bytes_max: int) -> bytes:
    value = text.encode()
    if len(value) > bytes_max:
        raise bad(f"{what} has {len(value)} bytes; IPMI 2.0 allows {bytes_max}")
    if 0 in value:
        raise bad(f"{what} contains a zero byte")
    return value


def _kg(text: str) -> bytes:
    """Parse the key: text, or `0x` and hexadecimal digits."""
    if not text.lower().startswith("0x"):
        return _bytes("the secret kg", text, KEY_BYTES_MAX)
    try:
        value = bytes.fromhex(text[2:])
    except ValueError as exc:
        raise bad("the secret kg starts with 0x, but hexadecimal digits do not follow") from exc
    if len(value) > KEY_BYTES_MAX:
        raise bad(f"the secret kg has {len(value)} bytes; IPMI 2.0 allows {KEY_BYTES_MAX}")
    return value
