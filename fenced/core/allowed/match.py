"""Match hosts against an expression: `*`, or terms `key=value` joined by commas, all of which must hold.

Keys: host, cluster, datacenter, rack, role, and the keys of labels. Names must match completely; an empty expression
selects no host (S12).
"""

import re
from collections.abc import Iterable
from typing import Final

from fenced.model.inventory import PLACES, Host

LABEL_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
KEYS = ("host", *PLACES, "role")
"""Keys that no label can have."""


class BadMatch(ValueError):
    """The expression is invalid; the text names the part, and what is allowed."""


def parse(expression: str) -> tuple[tuple[str, str], ...]:
    """Return the terms of an expression; none for `*`. Raises BadMatch."""
    text = expression.strip()
    if text == "*":
        return ()
    if not text:
        raise BadMatch("an empty expression selects no host; write `*` for every host")
    words = []
    for word in text.split(","):
        key, separator, value = (part.strip() for part in word.partition("="))
        if not separator or not LABEL_KEY.fullmatch(key) or not value:
            raise BadMatch(
                f"{word.strip()!r} is not KEY=VALUE with KEY one of {', '.join(KEYS)}, or the key of a label"
            )
        words.append((key, value))
    return tuple(words)


def matches(expression: str, host: Host) -> bool:
    """Return whether the host is selected. An invalid expression selects no host."""
    try:
        words = parse(expression)
    except BadMatch:
        return False
    return all(value in _values(host, key) for key, value in words)


def why_none(expression: str, hosts: Iterable[Host] | None) -> str:
    """Return why the expression selects none of these hosts (S12), or "". `hosts` None: only why it is invalid."""
    try:
        parse(expression)
    except BadMatch as exc:
        return str(exc)
    if hosts is None:
        return ""
    every = list(hosts)
    if any(matches(expression, host) for host in every):
        return ""
    if why := why_unknown(expression, every):
        return why
    return f"{expression!r} selects no host of the inventory"


def why_unknown(expression: str, hosts: Iterable[Host]) -> str:
    """Return which label of the expression no host has, or ""."""
    unknown = [key for key, _ in parse(expression) if key not in KEYS]
    if not unknown:
        return ""
    labels = {key for host in hosts for key, _ in host.labels}
    missing = [key for key in unknown if key not in labels]
    known = ", ".join((*KEYS, *sorted(labels)))
    return f"{expression!r}: no host has a label {missing[0]}; use one of {known}" if missing else ""


def _values(host: Host, key: str) -> tuple[str, ...]:
    match key:
        case "host":
            return (str(host.name),)
        case "role":
            return host.roles
        case _:
            value = host.value_of(key)
            return (value,) if value else ()
