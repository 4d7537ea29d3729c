"""Checks the shape of option values for fence agents: numbers, outlet names, words of a command, and metadata kinds.

It runs nothing. The rules by name apply even if an agent's metadata differs, because most metadata declares
everything as text.
"""

from collections.abc import Collection
from functools import cache
from typing import Final

from fenced.drivers.agents.metadata import ADDRESS_NAMES, PLUG_NAMES, USERNAME_NAMES, Parameter
from fenced.drivers.agents.options import OPTION_NAMES, RESERVED, Reach, reaches
from fenced.model.booleans import NO, YES
from fenced.model.option_values import Shape, Shapes, why_misshapen

_NUMBERS: Final = """
    apitimeout connect_retries connect_timeout errortimeout ipmitool_timeout login_timeout operation_timeout
    power_timeout power_wait random_sleep_range read_retries read_timeout recorder_poll_interval recorder_timeout
    retrans retries retry_on retrysleep shell_timeout stonith_status_sleep timeout warntimeout
"""
_WHOLE: Final = "cipher ipport proxyport udpport vsock"
_WEB_PATHS: Final = "api_path redfish_uri systems_uri"
_OUTLETS: Final = """
    domain managed module_name nodename pve_node suborg switch system target uuid vmtype
"""
_SHAPED: Final = {
    **dict.fromkeys(_NUMBERS.split(), Shape.NUMBER),
    **dict.fromkeys(_WHOLE.split(), Shape.WHOLE),
    **dict.fromkeys(_WEB_PATHS.split(), Shape.WEB_PATH),
    "hexadecimal_kg": Shape.HEXADECIMAL,
}
_QUOTED: Final = frozenset(
    {
        "community", "passwd", "passwd_script", "password", "password_script", "runonfail", "runonwarn",
        "snmp_priv_passwd", "snmp_priv_passwd_script", "ssh_options",
    }
)  # fmt: skip
"""No shape: secrets, which agents quote or pass otherwise, and options that are commands (`lent` warns about those)."""


@cache
def shapes_for(agent: str) -> Shapes:
    """Return the required shape of an agent's option values, by name. Options without an entry may have any value."""
    names = (*OPTION_NAMES, *RESERVED, *PLUG_NAMES, *_OUTLETS.split(), *_SHAPED)
    found = {name: _shape(agent, name) for name in dict.fromkeys(names) if name not in _QUOTED}
    return {name: shape for name, shape in found.items() if shape is not None}


def _shape(agent: str, name: str) -> Shape | None:
    if name in _SHAPED:
        return _SHAPED[name]
    reach = reaches(agent, name)
    if Reach.COMMAND_LINE in reach:
        return Shape.ADDRESS if name in ADDRESS_NAMES else Shape.LOGIN if name in USERNAME_NAMES else Shape.WORD
    if Reach.REMOTE_SHELL in reach:
        return Shape.TYPED
    return Shape.OUTLET if name in (*PLUG_NAMES, *_OUTLETS.split()) else None


def why_no_value(agent: str, name: str, text: str, parameters: Collection[Parameter]) -> str:
    """Return why this value does not fit, without quoting it; "" if it fits.

    `parameters`: those that the agent may take the name for.
    """
    names: Collection[str] = {name}.union(*(parameter.names for parameter in parameters))
    why = why_misshapen(shapes_for(agent), names, text)
    return why or next(filter(None, (_why_not(parameter, text) for parameter in parameters)), "")


def _why_not(parameter: Parameter, text: str) -> str:
    """Check against the agent's metadata. The library compares choices in upper case."""
    if not text:
        return ""
    if parameter.kind in {"integer", "second"}:
        return why_misshapen({"": Shape.NUMBER}, ("",), text)
    if parameter.kind == "boolean" and text.lower() not in YES | NO:
        return "must be true or false"
    if parameter.values and text.upper() not in {value.upper() for value in parameter.values}:
        return f"must be one of: {', '.join(parameter.values)}"
    return ""
