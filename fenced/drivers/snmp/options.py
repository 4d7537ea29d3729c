"""Parses a device's keys for the SNMP driver: address, login, outlets and table.

Contradictions are rejected before anything is sent. Each outlet has exactly one spelling, because spellings are
compared to keep two hosts from sharing an outlet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from fenced.drivers.snmp.tables import AUTO, CUSTOM, MODELS, TABLES, Outlet, OutletTable, Place, oid, table_of
from fenced.model.drivers import DriverDescription, Option, OptionKind
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Kind
from fenced.ports.devices import BadParameters

PORT: Final = 161
OUTLETS_MAX: Final = 16
NUMBER_DIGITS_MAX: Final = 4
OUTLET_NUMBER_MAX: Final = 9999
INDICES_MAX: Final = 3
"""Unit, feed and outlet."""
PASSPHRASE_CHARACTERS_MIN: Final = 8
"""RFC 3414, 11.2."""
PRIVACY_PASSWORD: Final = "privacy_password"  # noqa: S105 - the name of a secret
READY_AFTER_SECONDS: Final = 30.0
VERSIONS: Final = ("1", "2c", "3")
AUTH_PROTOCOLS: Final = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
PRIVACY_PROTOCOLS: Final = ("des", "aes", "aes192", "aes256", "aes192_cisco", "aes256_cisco")
_ONLY_VERSION_3: Final = ("auth_protocol", "privacy_protocol", "context")
_CUSTOM: Final = ("status_oid", "control_oid", "status_on", "status_off", "control_on", "control_off")
_CUSTOM_ALL: Final = (*_CUSTOM, "control_on_oid", "offset")

DESCRIPTION: Final = DriverDescription(
    name="snmp_outlet",
    about="outlets of a rack PDU, over SNMP",
    kind=Kind.OUTLET,
    options=(
        Option(
            name="plug",
            about="the outlet: 7; several: 7,8; outlet 7 of unit 2 of a chain: 2:7; with feeds: 2:1:7",
            is_required=True,
        ),
        Option(
            name="model", about="the unit's outlet tables; auto reads its sysObjectID", choices=MODELS, default=AUTO
        ),
        Option(name="version", about="SNMP version; the default is 3 with a user name, else 2c", choices=VERSIONS),
        Option(name="auth_protocol", about="version 3: authentication", choices=AUTH_PROTOCOLS, default="sha"),
        Option(name="privacy_protocol", about="version 3: encryption", choices=PRIVACY_PROTOCOLS, default="aes"),
        Option(name="context", about="version 3: the context name"),
        Option(
            name="ready_after",
            about="seconds after the unit's start during which its outlets count as not ready; 0 = never",
            kind=OptionKind.NUMBER,
            default=READY_AFTER_SECONDS,
            least=0,
            most=3600,
        ),
        Option(name="status_oid", about="custom: the object with an outlet's state; {plug} = the outlet"),
        Option(name="control_oid", about="custom: the object that switches it"),
        Option(name="control_on_oid", about="custom: the object for ON, if it is another one"),
        *(Option(name=name, about="custom: the value", kind=OptionKind.INTEGER) for name in _CUSTOM[2:]),
        Option(
            name="offset",
            about="custom: number to add to an outlet's number to get its index; the same for all outlets of a unit",
            kind=OptionKind.INTEGER,
            default=0,
            least=-OUTLET_NUMBER_MAX,
            most=OUTLET_NUMBER_MAX,
        ),
    ),
    secrets=(PRIVACY_PASSWORD,),
    plug_options=("plug",),
    default_port=PORT,
    is_one_plug=False,
    settle_seconds=READY_AFTER_SECONDS,
    can_tell_ready=True,
    offset_option="offset",
    object_options=("status_oid", "control_oid", "control_on_oid"),
    first_units=tuple((table.name, table.first[0] if table.first else 1) for table in TABLES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A community, or a user with passphrases ("" = not signed, not encrypted). `repr` hides them."""

    version: str
    community: str = field(default="", repr=False)
    user: str = ""
    signing: str = field(default="", repr=False)
    encrypting: str = field(default="", repr=False)
    digest: str = "sha"
    cipher: str = "aes"
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The parsed keys of one device.

    `table`: None = ask the unit. `ready_after_seconds`: 0 if `check_ready` is false.
    """

    host: str
    port: int
    credentials: Credentials
    outlets: tuple[Outlet, ...]
    table: OutletTable | None
    ready_after_seconds: float

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORT else f"{host}:{self.port}"

    def places(self, table: OutletTable) -> tuple[Place, ...]:
        """Locate the outlets in that table. Raises BadParameters."""
        try:
            return tuple(table.place(outlet) for outlet in self.outlets)
        except ValueError as exc:
            raise bad(str(exc)) from exc


def silence(settings: Settings) -> str:
    """Return the message for a read without an answer."""
    wrong = "privacy_password" if settings.credentials.version == "3" else "community (the password)"
    return f"{settings} does not answer; a wrong {wrong} looks the same"


def bad(text: str) -> BadParameters:
    """Return the error for a wrong setting; nothing was sent."""
    return BadParameters(text, may_be_done=False)


def settings_of(spec: DeviceSpec) -> Settings:
    """Parse a device's keys. Raises BadParameters."""
    options = spec.options
    _check_names(options)
    host, port = _place_of(spec.address)
    model = _choice(options, "model", MODELS, AUTO)
    custom = [name for name in _CUSTOM_ALL if name in options]
    if custom and model != CUSTOM:
        raise bad(f'{", ".join(custom)} need model = "{CUSTOM}"; with model = "{model}" they have no effect')
    ready_after = options.get("ready_after", READY_AFTER_SECONDS)
    if isinstance(ready_after, (bool, str)) or not 0 <= ready_after <= 3600:
        raise bad(f"ready_after must be seconds from 0 to 3600, not {ready_after!r}")
    return Settings(
        host=host,
        port=port,
        credentials=_credentials(spec),
        outlets=_outlets(options.get("plug", "")),
        table=_custom(options) if model == CUSTOM else None if model == AUTO else table_of(model),
        ready_after_seconds=float(ready_after) if spec.check_ready else 0.0,
    )


def _check_names(options: Mapping[str, Any]) -> None:
    if "community" in options:
        raise bad("the community is the device's password, not an option")
    unknown = sorted(name for name in options if DESCRIPTION.option(name) is None)
    if unknown:
        known = ", ".join(option.name for option in DESCRIPTION.options)
        raise bad(f"unknown options {', '.join(unknown)}; it has {known}")


def _place_of(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//[{address}]" if address.count(":") > 1 and "[" not in address else f"//{address}")
        host, port = parts.hostname or "", parts.port or PORT
    except ValueError as exc:
        raise bad(f"{address!r} is no address: write HOST, HOST:PORT or [IPv6]:PORT") from exc
    if not host or parts.path or parts.query or "@" in address:
        raise bad(f"{address!r} is no address: write HOST, HOST:PORT or [IPv6]:PORT")
    return host, port


def _credentials(spec: DeviceSpec) -> Credentials:
    password = "" if spec.password is None else spec.password.reveal()
    version = _choice(spec.options, "version", VERSIONS, "3" if spec.username else "2c")
    if version != "3":
        return Credentials(version=version, community=_community(spec, version, password))
    if not spec.username:
        raise bad("version 3 needs a user name")
    encrypting = spec.secret(PRIVACY_PASSWORD)
    if encrypting and not password:
        raise bad("version 3 encrypts only signed messages: set password_file, too, or remove privacy_password")
    if "privacy_protocol" in spec.options and not encrypting:
        raise bad("privacy_protocol needs the secret privacy_password")
    if "auth_protocol" in spec.options and not password:
        raise bad("auth_protocol needs a password")
    for name, passphrase in (("password", password), (PRIVACY_PASSWORD, encrypting)):
        if 0 < len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
            raise bad(f"the {name} of a version 3 user must have at least {PASSPHRASE_CHARACTERS_MIN} characters")
    return Credentials(
        version=version,
        user=spec.username,
        signing=password,
        encrypting=encrypting,
        digest=_choice(spec.options, "auth_protocol", AUTH_PROTOCOLS, "sha"),
        cipher=_choice(spec.options, "privacy_protocol", PRIVACY_PROTOCOLS, "aes"),
        context=str(spec.options.get("context", "")),
    )


def _community(spec: DeviceSpec, version: str, password: str) -> str:
    only = [name for name in _ONLY_VERSION_3 if name in spec.options]
    if spec.username or only or spec.secret(PRIVACY_PASSWORD):
        what = ", ".join([*(["a user name"] if spec.username else []), *only] or [PRIVACY_PASSWORD])
        raise bad(f"{what}: only for version 3, and this is version {version}; remove it or set version = 3")
    if not password:
        raise bad("no password: versions 1 and 2c need the write community as the device's password")
    return password


def _outlets(plug: Any) -> tuple[Outlet, ...]:
    texts = [text.strip() for text in str(plug).split(",")]
    outlets = tuple(_outlet(text) for text in texts)
    if len(set(outlets)) != len(outlets):
        raise bad(f"plug {plug!r} names an outlet twice")
    if len(outlets) > OUTLETS_MAX:
        raise bad(f"{len(outlets)} outlets for one device; at most {OUTLETS_MAX}")
    return outlets


def _outlet(text: str) -> Outlet:
    parts = text.split(":")
    is_plain = all(
        part.isascii() and part.isdigit() and len(part) <= NUMBER_DIGITS_MAX and str(int(part)) == part
        for part in parts
    )
    if not is_plain or len(parts) > INDICES_MAX or int(parts[-1]) == 0:
        raise bad(
            "plug must be an outlet's number like 7, several like 7,8, 2:7 for a chain, or 2:1:7 if its units have "
            f"feeds; {text!r} is none of these"
        )
    return Outlet(number=int(parts[-1]), chain=tuple(int(part) for part in parts[:-1]))


def _custom(options: Mapping[str, Any]) -> OutletTable:
    missing = [name for name in _CUSTOM if name not in options]
    if missing:
        raise bad(f'model = "{CUSTOM}" needs {", ".join(missing)}')
    values = {name: options[name] for name in _CUSTOM[2:]}
    wrong = [name for name, value in values.items() if isinstance(value, bool) or not isinstance(value, int)]
    if wrong:
        raise bad(f"{', '.join(wrong)} must be whole numbers")
    offset = options.get("offset", 0)
    if isinstance(offset, bool) or not isinstance(offset, int) or abs(offset) > OUTLET_NUMBER_MAX:
        raise bad(f"offset must be a whole number from -{OUTLET_NUMBER_MAX} to {OUTLET_NUMBER_MAX}, not {offset!r}")
    status, control = _custom_oid(options, "status_oid"), _custom_oid(options, "control_oid")
    control_on = _custom_oid(options, "control_on_oid") if "control_on_oid" in options else control
    if values["status_on"] == values["status_off"]:
        raise bad("status_on and status_off must differ, or no state could be read")
    if control == control_on and values["control_on"] == values["control_off"]:
        raise bad("control_on and control_off must differ for the same object")
    return OutletTable(
        name=CUSTOM,
        about="by its options",
        state=status,
        on=values["status_on"],
        off=values["status_off"],
        set_on=(control_on, values["control_on"]),
        set_off=(control, values["control_off"]),
        offset=offset,
    )


def _custom_oid(options: Mapping[str, Any], name: str) -> str:
    text = str(options[name])
    if text.count("{plug}") != 1:
        raise bad(f"{name} must contain {{plug}} once, in place of the outlet's number")
    try:
        oid(text.replace("{plug}", "1"))
    except ValueError as exc:
        raise bad(f"{name}: {exc}") from exc
    return text.removeprefix(".")


def _choice(options: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    given = str(options.get(name, default))
    if given not in choices:
        raise bad(f"{name} must be one of {', '.join(choices)}, not {given!r}")
    return given
