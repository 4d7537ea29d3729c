"""Writes a device's settings as the lines that a fence agent reads on standard input (fence-agent contract, B.1).

It runs nothing. A value that can't be written exactly is refused before anything starts: a line end inside a value,
for example, would start a new parameter. A false boolean is left out unless the agent's default is true, because many
agents only test whether the parameter is there.
"""

import re
from collections.abc import Mapping
from typing import Final

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
from fenced.drivers.agents.options import RESERVED, why_broken
from fenced.drivers.agents.values import why_no_value
from fenced.model.booleans import said, spelled
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.text import Mask
from fenced.ports.devices import BadParameters

PARAMETERS_BYTES_MAX: Final = 32 * 1024
"""Limit for all lines together. It fits into a pipe and into one message to the keeper."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
HALF_CHARACTER: Final = re.compile(r"[\ud800-\udfff]")
"""A lone surrogate: valid in JSON, not in UTF-8."""
PASSWORD: Final = re.compile(r"passwo?r?d|passphrase|_pwd$|^pwd$")
PASSWORD_REFERENCE: Final = re.compile(r"_script$|_file$")
"""Names of programs or files that yield a password: not secret themselves."""
SECRET: Final = re.compile(r"passw|secret|token|community|hexadecimal_kg|api_?key|private_key$")
"""Names of options whose values are masked in an agent's output."""


def agent_parameters(spec: DeviceSpec, action: str, metadata: AgentMetadata) -> bytes:
    """Return all lines, `action` first. Raises BadParameters, which never quotes a value."""
    lines = {"action": action}
    _check_options(spec, metadata)
    for name, value in spec.options.items():
        text = _as_text(spec, name, value, metadata.parameter(name))
        if text is not None:
            _put(lines, spec, _called(name, metadata), text)
    for name, secret in spec.secrets:
        _check_secret(spec, name, secret, metadata)
        _put(lines, spec, _called(name, metadata), secret.reveal())
    _add(lines, spec, metadata, "address", ADDRESS_NAMES, spec.address)
    _add(lines, spec, metadata, "username", USERNAME_NAMES, spec.username)
    if spec.password is not None:
        _add(lines, spec, metadata, "password", PASSWORD_NAMES, spec.password.reveal())
    if spec.nodename:
        if metadata.is_required(PLUG_NAMES) and not any(name in lines for name in PLUG_NAMES):
            _add(lines, spec, metadata, "plug", PLUG_NAMES, spec.nodename)
        lines["nodename"] = spec.nodename
    written = "".join(f"{name}={_quoted(spec, name, value)}\n" for name, value in lines.items()).encode()
    if len(written) > PARAMETERS_BYTES_MAX:
        raise _bad(spec, f"its parameters are longer than {PARAMETERS_BYTES_MAX} bytes together")
    _check_values(spec, lines, metadata)
    return written


def mask_for(spec: DeviceSpec) -> Mask:
    """Return the mask for the password, all further secrets and every option that is named like one."""
    secrets = [str(value) for name, value in spec.options.items() if SECRET.search(normal(name))]
    return Mask((*secrets, *spec.all_secrets), username=spec.username)


def _check_options(spec: DeviceSpec, metadata: AgentMetadata) -> None:
    """Check again what the configuration has checked: a proxy receives its specs over the network."""
    names = [normal(name) for name in spec.options]
    for given, name in zip(spec.options, names, strict=True):
        if not NAME.fullmatch(given):
            raise _bad(spec, f"{given!r} is not a parameter name; use letters, digits, _ . -")
        if name in RESERVED:
            raise _bad(spec, f"`{given}` can't be set; remove it from the device's options")
        _check_proof(spec, given, spec.options[given], metadata)
        if PASSWORD.search(name) and not PASSWORD_REFERENCE.search(name):
            raise _bad(
                spec, f"`{given}` is a secret; give it as password_file, or in secrets = {{ {given}_file = ... }}"
            )
    if len(set(names)) != len(names):
        raise _bad(spec, "a parameter is given twice, once with - and once with _")
    if all(name in names for name in PLUG_NAMES):
        raise _bad(spec, "`plug` and `port` are the same parameter; remove one of them")


def _check_proof(spec: DeviceSpec, name: str, value: object, metadata: AgentMetadata) -> None:
    """Refuse an option or a secret that changes what OFF proves, under any of its names (S1)."""
    why = why_broken(spec.driver, metadata.names_of(name), value)
    if why:
        raise _bad(spec, f"`{name}` is refused: {why}; remove it from the device")


def _check_secret(spec: DeviceSpec, name: str, secret: Secret, metadata: AgentMetadata) -> None:
    plain = normal(name)
    if not NAME.fullmatch(name) or plain in RESERVED or plain in (*ADDRESS_NAMES, *USERNAME_NAMES, *PLUG_NAMES):
        raise _bad(spec, f"{name!r} can't be a secret")
    _check_proof(spec, name, secret.reveal(), metadata)
    if plain in PASSWORD_NAMES:
        raise _bad(spec, f"`{name}` is the password; give it as password_file, password_env or password_credential")
    if metadata.is_known and metadata.parameter(name) is None:
        raise _bad(spec, f"the agent has no parameter `{name}` for a secret (`fenced agents {spec.driver}` lists them)")


def _check_values(spec: DeviceSpec, lines: Mapping[str, str], metadata: AgentMetadata) -> None:
    """Check the value of every line: options, secrets, address, user name and host."""
    meanings = metadata.meanings()
    for name, text in lines.items():
        why = why_no_value(spec.driver, name, text, meanings.get(normal(name).lower(), ()))
        if why and name != "action":
            raise _bad(spec, f"`{name}` {why}")


def _called(name: str, metadata: AgentMetadata) -> str:
    """Return the agent's name for this option: the given one if the agent has it, else its synonym."""
    plain = normal(name)
    if metadata.is_known and metadata.parameter(plain) is None:
        for names in (ADDRESS_NAMES, USERNAME_NAMES, PLUG_NAMES):
            parameter = metadata.called(names) if plain in names else None
            if parameter is not None:
                return parameter.name
    return plain


def _put(lines: dict[str, str], spec: DeviceSpec, name: str, text: str) -> None:
    if name in lines:
        raise _bad(spec, f"`{name}` is given twice, under two of its names; remove one of them")
    lines[name] = text


def _as_text(spec: DeviceSpec, name: str, value: object, parameter: Parameter | None) -> str | None:
    """Return the value as the agent reads it; None: leave the line out. Raises BadParameters."""
    if parameter is not None and parameter.kind == "boolean":
        return _boolean(spec, name, said(value), parameter)
    if isinstance(value, bool):
        return ("1" if value else None) if parameter is None else _flag(spec, name, value, parameter)
    if isinstance(value, float):
        return f"{value:f}".rstrip("0").rstrip(".")
    if isinstance(value, int | str):
        return str(value)
    raise _bad(spec, f"`{name}` is neither text, a number nor a boolean")


def _boolean(spec: DeviceSpec, name: str, flag: bool | None, parameter: Parameter) -> str | None:
    if flag is None:
        raise _bad(spec, f"`{name}` must be true or false; the agent would ignore anything else")
    return "1" if flag else "0" if is_yes(parameter.default) else None


def _flag(spec: DeviceSpec, name: str, flag: bool, parameter: Parameter) -> str:
    """Return true or false in the spelling of a parameter that is not a boolean. Raises BadParameters."""
    if parameter.kind == "string":
        word = spelled(flag, default=parameter.default) or ("1" if flag else None)
        if word is not None:
            return word
    takes = f"one of {', '.join(parameter.values)}" if parameter.values else "a number"
    what = "text: write it in quotes" if parameter.kind == "string" else takes
    raise _bad(spec, f"`{name}` can't be {str(flag).lower()}: the agent takes {what}")


def _add(
    lines: dict[str, str], spec: DeviceSpec, metadata: AgentMetadata, what: str, names: tuple[str, ...], value: str
) -> None:
    """Add a key of the device under the agent's name for it. Refuse an option that contradicts it."""
    if not value:
        return
    given = next((name for name in names if name in lines), None)
    if given is not None:
        if lines[given] != value:
            raise _bad(spec, f"`{what}` and the option `{given}` differ; remove one of them")
        return
    parameter = metadata.called(names)
    if parameter is None and metadata.is_known:
        raise _bad(spec, f"the agent has no parameter for `{what}` (`fenced agents {spec.driver}` lists what it has)")
    lines[parameter.name if parameter else names[0]] = value


def _quoted(spec: DeviceSpec, name: str, value: str) -> str:
    """Quote a value that would change: the library strips trailing blanks and one pair of double quotes."""
    if CONTROL.search(value):
        raise _bad(spec, f"`{name}` contains a line end or another control character")
    if HALF_CHARACTER.search(value):
        raise _bad(spec, f"`{name}` contains half a character (a lone surrogate)")
    is_changed = value != value.rstrip() or (len(value) >= 2 and value[0] == value[-1] == '"')
    return f'"{value}"' if is_changed else value


def _bad(spec: DeviceSpec, why: str) -> BadParameters:
    return BadParameters(f"{spec.driver}: {why}", may_be_done=False)
