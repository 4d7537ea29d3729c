"""Match hosts against an expression: `*`, or terms `key=value` joined by commas, all of which must hold.

Keys: host, cluster, datacenter, rack, role. Names must match completely; an empty expression selects no host (S12).
"""

from collections.abc import Iterable

from fenced.model.inventory import Host

KEYS = ("host", "cluster", "datacenter", "rack", "role")


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
        if not separator or key not in KEYS or not value:
            raise BadMatch(f"{word.strip()!r} is not KEY=VALUE with KEY one of {', '.join(KEYS)}")
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
    is_found = hosts is None or any(matches(expression, host) for host in hosts)
    return "" if is_found else f"{expression!r} selects no host of the inventory"


def _values(host: Host, key: str) -> tuple[str, ...]:
    match key:
        case "host":
            return (str(host.name),)
        case "cluster":
            return (str(host.cluster),)
        case "datacenter":
            return (str(host.datacenter),)
        case "rack":
            return (host.rack,)
        case _:
            return host.roles
