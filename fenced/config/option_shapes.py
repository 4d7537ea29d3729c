"""Whether a device's `options` can be passed on at all, whatever its driver: names, types, line ends, inline secrets.

What the driver says about them is checked later, in `checks/options`.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

from fenced.config.mistakes import Mistakes, Where
from fenced.model.option_values import plain

OPTIONS_MAX: Final = 64
VALUE_CHARS_MAX: Final = 4096
PINNED_THERE: Final = "is refused by proxies beside credential: set it there, in pins"

_SECRET: Final = re.compile(r"passw|passphrase|^secret|secret_key|api_?key|^token$", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_LINE_END: Final = re.compile(r"[\n\r\0]")
_PLAIN: Final = (str, int, float, bool)


def faults(options: Mapping[str, Any], *, is_agent: bool) -> dict[str, str]:
    """Return what is wrong with each option that can't be passed on."""
    found = {str(key): why for key, value in options.items() if (why := _why_not(str(key), value))}
    if is_agent and "plug" in options and "port" in options:
        found.setdefault("port", "plug and port mean the same to an agent; give one")
    return found


def passable(
    options: Mapping[str, Any], where: Where, mistakes: Mistakes, *, is_agent: bool
) -> dict[str, str | int | float | bool] | None:
    """Return the options as they are passed on, or None and a mistake for each that can't be. `where`: the device."""
    place = where.key("options")
    if len(options) > OPTIONS_MAX:
        mistakes.error(place, f"more than {OPTIONS_MAX} options")
    found = faults(options, is_agent=is_agent)
    values = {str(key): value for key, value in options.items()} if found else {}
    for key, why in found.items():
        shown = "***" if is_secret(plain(key.lower())) else values[key] if _NAME.fullmatch(key) else None
        mistakes.error(place.key(key), why, value=shown, unit="option")
    return None if found or len(options) > OPTIONS_MAX else dict(options)


def _why_not(key: str, value: object) -> str:
    why = _why_no_name(key)
    if why:
        return why
    if not isinstance(value, _PLAIN):
        return "must be text, a number, true or false"
    text = str(value)
    if isinstance(value, str) and _LINE_END.search(text) is not None:
        return "contains a line end or a NUL; an agent would read the rest as another parameter"
    if len(text) > VALUE_CHARS_MAX:
        return f"longer than {VALUE_CHARS_MAX} characters"
    return ""


@functools.lru_cache(maxsize=1024)  # thousands of devices have the same few
def _why_no_name(key: str) -> str:
    if _NAME.fullmatch(key) is None:
        return "not a valid option name"
    if is_secret(plain(key.lower())):
        return (
            "a secret is never written inline: give the device password_file, password_env or password_credential, "
            f"or secrets = {{ {key}_file = ... }}"
        )
    return ""


def is_secret(name: str) -> bool:
    """Whether an option of that name may not be written inline."""
    return _SECRET.search(name) is not None
