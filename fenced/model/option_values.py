"""Checks the values of device options, and finds options that name a program, file or trust anchor.

The programs and files are those of the machine that calls the device. Knows texts and names, no agent. Some agents put
a value unquoted into a command. Therefore a value that becomes part of a command never begins with `-` and contains
nothing that a shell or a splitter would interpret.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Final

_WORD: Final = r"(?!-)[A-Za-z0-9_./:@%+,=-]+"

_PART: Final = r"(?!-)[\w./:@%+,=()\[\]-]+"
"""A part of the name of an outlet or machine; any letters."""


class Shape(Enum):
    """What a value must look like. The text completes the error message after the option's name."""

    NUMBER = "must be a number, without a unit"
    WHOLE = "must be a whole number"
    HEXADECIMAL = "must be hexadecimal digits"
    WORD = (
        "must be one word of letters, digits and _ . / : @ % + , = - that does not begin with -: it is part of a "
        "command"
    )
    ADDRESS = "must be a name or an address and not begin with -: it is part of a command"
    LOGIN = "must be one word without quotes or characters of a shell, and not begin with -: it is part of a command"
    TYPED = (
        "must be words of letters, digits and _ . / : @ % + , = -, none of which begins with -: it is typed into a "
        "session at the device"
    )
    OUTLET = "must be words of letters, digits and _ . / : @ % + , = ( ) [ ] -, none of which begins with -"
    WEB_PATH = "must be a path that begins with one /"


_PATTERNS: Final = {
    Shape.NUMBER: re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII),
    Shape.WHOLE: re.compile(r"[0-9]{1,9}", re.ASCII),
    Shape.HEXADECIMAL: re.compile(r"(0[xX])?[0-9A-Fa-f]{1,64}", re.ASCII),
    Shape.WORD: re.compile(_WORD, re.ASCII),
    Shape.ADDRESS: re.compile(r"(?!-)[A-Za-z0-9_./:%\[\]-]+", re.ASCII),
    Shape.LOGIN: re.compile(r"(?!-)[^\s\x00-\x20\x7f\"'`$;|&<>(){}*?!]+"),
    Shape.TYPED: re.compile(rf"{_WORD}( {_WORD})*", re.ASCII),
    Shape.OUTLET: re.compile(rf"{_PART}( ({_PART}|-))*"),
    Shape.WEB_PATH: re.compile(r"(/[A-Za-z0-9_.~%:,()=+@'-]+)*/?", re.ASCII),
}

Shapes = Mapping[str, Shape]
"""By option name, in lower case and with _ for -."""


def plain(name: str) -> str:
    """Normalise an option name: agents accept - for _, and some ignore case."""
    return name.replace("-", "_").lower()


def why_misshapen(shapes: Shapes, names: Collection[str], text: str) -> str:
    """Return why an option can't have this value, or "" if it can. `names` all mean the same option to its agent."""
    return why_unlike(shapes_of(shapes, names), text)


def shapes_of(shapes: Shapes, names: Collection[str]) -> tuple[Shape, ...]:
    """Return what the values of an option must look like, under any of its names."""
    return tuple(dict.fromkeys(shapes[plain(name)] for name in sorted(names) if plain(name) in shapes))


def why_unlike(shapes: Collection[Shape], text: str) -> str:
    """Return the first of these shapes that the value does not have, in words, or ""."""
    for shape in shapes:
        if not is_shaped(shape, text):
            return shape.value
    return ""


def is_shaped(shape: Shape, text: str) -> bool:
    """Return whether the value fits.

    An empty value always does: it is not passed on, and the agent uses its default.
    """
    return not text or _PATTERNS[shape].fullmatch(text) is not None


class Lent(Enum):
    """What an option names on the machine that calls the device. Only the operator of that machine may set it."""

    PROGRAM = "a program, file or connection on the machine that calls the device"
    FILE = "a file on the machine that calls the device"


_PROGRAMS: Final = re.compile(
    r".*_(path|script)|exec|runonfail|runonwarn|ssh_options|debug|debug_file|cookie_file|status_file|serial_device"
    r"|unix_socket",
    re.ASCII,
)
"""Options that name what is run, written or connected to; `debug` is an old name of `debug_file`."""
_FILES: Final = re.compile(r".*_file|cacert|kubeconfig|openrc|serviceaccount|tlscacert|tlscert|tlskey", re.ASCII)


def lent(option: str) -> Lent | None:
    """Return what the option names on the machine that calls the device, or None."""
    name = plain(option)
    if _PROGRAMS.fullmatch(name):
        return Lent.PROGRAM
    return Lent.FILE if _FILES.fullmatch(name) else None


PINS: Final = frozenset(
    {
        "auth", "ca_file", "cacert", "disable_ssl", "fingerprint", "insecure", "notls", "ssl",
        "ssl_client_certificate_file", "ssl_insecure", "ssl_secure", "tls", "tls1.0", "tlscacert", "tlscert", "tlskey",
    }
)  # fmt: skip
"""Options that decide which peer a login trusts. With a credential stored at a proxy, only the proxy sets them."""


def pins_among(options: Collection[str]) -> Iterator[str]:
    """Yield the given names that are pins, in any spelling."""
    return (name for name in sorted(options) if plain(name) in PINS)
