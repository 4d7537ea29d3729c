"""What the value of a device's option may look like, and which options name something of the machine that serves it.

Knows texts and names, no agent and no file. One rule: a value never begins with `-` where it is part of a command, and
holds nothing there that a shell or a split would read: an agent that appends it unquoted makes of it what it is.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Final

_WORD: Final = r"(?!-)[A-Za-z0-9_./:@%+,=-]+"

_PART: Final = r"(?!-)[\w./:@%+,=()\[\]-]+"
"""Of the name of an outlet or machine; any letters."""


class Shape(Enum):
    """What a text must look like, and how that is told."""

    NUMBER = "must be a number, without a unit"
    WHOLE = "must be a whole number"
    HEXADECIMAL = "must be hexadecimal digits"
    WORD = "must be one word of letters, digits and _ . / : @ % + , = - that does not begin with -: it is part of a command"
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
"""By the option's name, in small letters and with _ for -."""


def plain(name: str) -> str:
    """Agents take - for _, and some take capital letters for small ones."""
    return name.replace("-", "_").lower()


def why_misshapen(shapes: Shapes, names: Collection[str], text: str) -> str:
    """Why an option of these names, which mean the same to its agent, can't have this value; "" where it can."""
    found = dict.fromkeys(shapes[plain(name)] for name in sorted(names) if plain(name) in shapes)
    return next((shape.value for shape in found if not is_shaped(shape, text)), "")


def is_shaped(shape: Shape, text: str) -> bool:
    """Nothing is left out: nothing is said then, and an agent takes its own."""
    return not text or _PATTERNS[shape].fullmatch(text) is not None


class Lent(Enum):
    """What an option names of the machine that serves the device, which belongs to whoever runs that machine."""

    PROGRAM = "a program or file of the machine that serves it, or a way to one"
    FILE = "a file of the machine that serves it"


_PROGRAMS: Final = re.compile(
    r".*_(path|script)|exec|runonfail|runonwarn|ssh_options|debug|debug_file|cookie_file|status_file|serial_device"
    r"|unix_socket",
    re.ASCII,
)
"""What is run, written or connected to; `debug` is an old name of `debug_file`."""
_FILES: Final = re.compile(r".*_file|cacert|kubeconfig|openrc|serviceaccount|tlscacert|tlscert|tlskey", re.ASCII)


def lent(option: str) -> Lent | None:
    """What an option of any driver names of the machine that serves the device."""
    name = plain(option)
    if _PROGRAMS.fullmatch(name):
        return Lent.PROGRAM
    return Lent.FILE if _FILES.fullmatch(name) else None


PINS: Final = frozenset(
    {
        "auth", "ca_file", "cacert", "disable_ssl", "fingerprint", "insecure", "notls", "ssl", "ssl_client_certificate_file",
        "ssl_insecure", "ssl_secure", "tls", "tls1.0", "tlscacert", "tlscert", "tlskey",
    }
)  # fmt: skip
"""Options that say whom a login trusts: with a credential that a proxy keeps, they are the proxy's to say."""


def pins_among(options: Collection[str]) -> Iterator[str]:
    """The given names that are pins, in whatever spelling."""
    return (name for name in sorted(options) if plain(name) in PINS)
