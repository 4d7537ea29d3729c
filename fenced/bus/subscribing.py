"""Forms subscriptions for either version of MQTT, and reads the broker's answer to them."""

from collections.abc import Sequence
from typing import Any, Final

from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from fenced.bus.topics import Subscription

REFUSED: Final = 0x80
"""This code and all above it refuse a subscription (MQTT 5, 3.9.3; 3.1.1, 3.9.3)."""

Codes = Sequence[ReasonCode | int]
"""The broker's answer, in the order of the filters."""


def asked(topics: Sequence[Subscription], *, is_version_5: bool) -> list[Any]:
    """Return what aiomqtt's `subscribe` takes."""
    if not is_version_5:
        return [(topic.filter, topic.qos) for topic in topics]
    return [(topic.filter, SubscribeOptions(qos=topic.qos, noLocal=not topic.has_own)) for topic in topics]


def refused(topics: Sequence[Subscription], codes: Codes) -> tuple[str, ...]:
    """Return the filters that the broker refused."""
    pairs = zip(topics, codes, strict=False)
    return tuple(topic.filter for topic, code in pairs if _value(code) >= REFUSED)


def is_enough(topics: Sequence[Subscription], codes: Codes) -> bool:
    """Return whether the broker granted every filter that the daemon needs."""
    needed = {topic.filter for topic in topics if not topic.is_optional}
    return len(codes) >= len(topics) and needed.isdisjoint(refused(topics, codes))


def _value(code: ReasonCode | int) -> int:
    return code.value if isinstance(code, ReasonCode) else code
