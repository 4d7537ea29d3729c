"""Builds and parses all topics (interface.md#bus), without knowing MQTT or payloads.

The builders and `parse` must agree on every topic.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from fenced.ports.bus import MessageKind

ROOT: Final = "fenced/v1"
NAME_LENGTH_MAX: Final = 253
TOPIC_LENGTH_MAX: Final = 1024

_KINDS: Final = {kind.value: kind for kind in MessageKind}
_LEVELS: Final = {
    MessageKind.HEALTH: 5,
    MessageKind.PRESENCE: 5,
    MessageKind.EVIDENCE: 6,
    MessageKind.REQUEST: 5,
    MessageKind.STATE: 5,
}


class Address(NamedTuple):
    """The parts of an incoming topic: kind of message, host, and the source of an evidence (else empty)."""

    kind: MessageKind
    host: str
    source: str = ""


class Subscription(NamedTuple):
    """`is_optional`: the daemon works without it, if the broker refuses it. `has_own`: the broker also sends back what
    this client publishes there; MQTT 3.1.1 always does."""

    filter: str
    qos: int
    is_optional: bool = False
    has_own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one site."""

    site: str

    @property
    def prefix(self) -> str:
        return f"{ROOT}/{self.site}"

    @property
    def incoming(self) -> tuple[Subscription, ...]:
        """The daemon's subscriptions. QoS 0 suffices for heartbeats, because they repeat, and for states, because the
        broker keeps the last one for the next connection. A lost word of another controller delays a takeover by half
        a second."""
        return (
            Subscription(f"{self.prefix}/health/+", 0),
            Subscription(f"{self.prefix}/presence/+", 1),
            Subscription(f"{self.prefix}/evidence/+/+", 1),
            Subscription(f"{self.prefix}/request/+", 1),
            Subscription(self.cluster_request, 1, is_optional=True),
            Subscription(f"{self.prefix}/state/+", 0, is_optional=True, has_own=False),
            Subscription(f"{self.prefix}/controller/+", 0, is_optional=True, has_own=False),
        )

    def controller_of(self, topic: str) -> str | None:
        """Return the name of the controller whose topic this is, or None."""
        name = topic.removeprefix(f"{self.prefix}/controller/")
        return name if name != topic and "/" not in name else None

    def parse(self, topic: str) -> Address | None:
        """Return the address of a topic that `incoming` selects, or None for any other topic."""
        parts = topic.split("/")
        if len(parts) < 5 or parts[0] != "fenced" or parts[1] != "v1" or parts[2] != self.site:
            return None
        kind = _KINDS.get(parts[3])
        if kind is None or len(parts) != _LEVELS[kind]:
            return None
        return Address(kind=kind, host=parts[4], source=parts[5] if kind is MessageKind.EVIDENCE else "")

    def health(self, host: str) -> str:
        return f"{self.prefix}/health/{level(host)}"

    def presence(self, host: str) -> str:
        return f"{self.prefix}/presence/{level(host)}"

    def evidence(self, host: str, source: str) -> str:
        return f"{self.prefix}/evidence/{level(host)}/{level(source)}"

    def request(self, host: str) -> str:
        return f"{self.prefix}/request/{level(host)}"

    def command(self, host: str) -> str:
        """Return the topic for orders to a host's reporter. Nobody but the daemon may write it."""
        return f"{self.prefix}/command/{level(host)}"

    @property
    def cluster_request(self) -> str:
        """The topic for requests that name a cluster and no host."""
        return f"{self.prefix}/request"

    def reply(self, request_id: str) -> str:
        return f"{self.prefix}/reply/{level(request_id)}"

    def event(self, host: str | None) -> str:
        """Return the topic for events of a host, or of the fleet (None)."""
        return f"{self.prefix}/event" if host is None else f"{self.prefix}/event/{level(host)}"

    def state(self, host: str) -> str:
        return f"{self.prefix}/state/{level(host)}"

    def controller(self, name: str) -> str:
        return f"{self.prefix}/controller/{level(name)}"

    @property
    def info(self) -> str:
        return f"{self.prefix}/info"

    def may_reply_to(self, topic: str) -> bool:
        """Return whether a requester may name this topic for its answer.

        It must be publishable, and under fenced/ a reply topic: elsewhere an answer, published with the daemon's
        rights, would look like an announcement.
        """
        if not is_publishable(topic):
            return False
        return not topic.startswith("fenced/") or topic.startswith(f"{self.prefix}/reply/")


def level(name: str) -> str:
    """Return the name as one level of a topic. Raises ValueError if it can't be one."""
    if not is_level(name):
        raise ValueError(
            f"{name[:80]!r} can't be a level of an MQTT topic; use 1 to {NAME_LENGTH_MAX} printable characters "
            "without / + #"
        )
    return name


def is_level(name: str) -> bool:
    """Return whether a name can be one level of a topic for publishing."""
    return 0 < len(name) <= NAME_LENGTH_MAX and name.isprintable() and not any(sign in name for sign in "/+#")


def is_publishable(topic: str) -> bool:
    """Return whether a broker accepts a message to this topic (MQTT 5, 4.7: no wildcards, no `$` at the start)."""
    if not 0 < len(topic) <= TOPIC_LENGTH_MAX or topic.startswith("$"):
        return False
    return topic.isprintable() and "+" not in topic and "#" not in topic
