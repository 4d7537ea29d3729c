"""What the values of agents' options may look like: numbers, names of outlets, words of a command; and the metadata's kinds.

Runs nothing. One rule: what is decided here by name holds whatever an agent's metadata say, for most call everything text.
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
    power_timeout power_wait random_sleep_range read_retries read_timeout recorder_poll_interval recorder_timeout retrans
    retries retry_on retrysleep shell_timeout stonith_status_sleep timeout warntimeout
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
"""Secrets, which agents quote or send by other ways, and what is a command itself: `lent` warns of it."""


@cache
def shapes_for(agent: str) -> Shapes:
    """By name, what the values of an agent's options must look like; of an option that is not there anything may be."""
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
    """Why an agent can't be given this value under this name, which it may take for these parameters; "" where it can.
    Never quotes the value."""
    names: Collection[str] = {name}.union(*(parameter.names for parameter in parameters))
    why = why_misshapen(shapes_for(agent), names, text)
    return why or next(filter(None, (_why_not(parameter, text) for parameter in parameters)), "")


def _why_not(parameter: Parameter, text: str) -> str:
    """By what the agent says itself. The library compares choices in capital letters."""
    if not text:
        return ""
    if parameter.kind in {"integer", "second"}:
        return why_misshapen({"": Shape.NUMBER}, ("",), text)
    if parameter.kind == "boolean" and text.lower() not in YES | NO:
        return "must be true or false"
    if parameter.values and text.upper() not in {value.upper() for value in parameter.values}:
        return f"must be one of: {', '.join(parameter.values)}"
    return ""
