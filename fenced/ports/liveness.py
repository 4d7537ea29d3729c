"""Looks at a silent host before its power is touched: any answer holds the fence (alive_but_silent).

The daemon looks through this port, and so does a proxy on its behalf; only what each may look at differs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from fenced.core.heard.looks import Saw, Target

CONTROL_SECONDS: Final = 1.0
"""A control counts if it answered within this time of the first probe of the target."""
WhyNot = Callable[[str, int], str | None]
"""Return why this IP address and port may not be probed; None: they may. Called after a name was resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look at. `agents`: host and port of proxy agents that run on the host; they count for the first target.

    `timeout_seconds` begins when the look gets its turn. `needs_control`: reach for a control although the target
    answers, to learn whether its silence would count.
    """

    targets: tuple[Target, ...]
    ports: tuple[int, ...]
    timeout_seconds: float
    agents: tuple[tuple[str, int], ...] = ()
    needs_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one target. `answered`: what answered first, as "tcp 22" or "proxy px1:8471"; "": nothing.

    `control`: a control that answered in the same second; "": none, and none of a target that answered, unless the
    question `needs_control`; then `control_fault` says why none did. `why`: for operators. `is_by_agent`: a proxy agent
    on the host answered, at an address of its own: that shows life, and nothing of this network.
    """

    network: str
    target: str
    saw: Saw
    answered: str = ""
    control: str = ""
    milliseconds: float | None = None
    why: str = ""
    is_by_agent: bool = False
    control_fault: str = ""

    @property
    def answer(self) -> str:
        """What was seen, for metrics: `no_control` is a silence that proves nothing."""
        return "no_control" if self.saw is Saw.SILENT and not self.control else self.saw.value


class Liveness(Protocol):
    """Looks at hosts from one machine."""

    async def look(self, question: Question, *, why_not: WhyNot = lambda address, port: None) -> tuple[Seen, ...]:
        """Return what was seen of each target, in their order.

        A refused connection is a sign of life (a living kernel sent it); silence and "host unreachable" are none. What
        could not be sent, or may not be, is UNKNOWN and never SILENT. Never raises.
        """
        ...


def unknown(question: Question, why: str) -> tuple[Seen, ...]:
    """Return what somebody saw who could not look."""
    return tuple(
        Seen(network=target.network, target=target.address, saw=Saw.UNKNOWN, why=why) for target in question.targets
    )


def endpoint(url: str) -> tuple[str, int] | None:
    """Return host and port of a proxy agent's URL; None if it has no host."""
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None  # the configuration check has already rejected it
    return (parts.hostname, port) if parts.hostname else None
