"""Topics and bus URLs: `parse` and the builders agree, and a name can't leave its level."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.bus.topics import Address, Topics
from fenced.model.bus_urls import BusUrl
from fenced.ports.bus import MessageKind

TOPICS = Topics(site="dc1")
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}", fullmatch=True)


@given(host=NAMES, source=NAMES)
def test_a_built_topic_is_parsed(host: str, source: str) -> None:
    assert TOPICS.parse(TOPICS.health(host)) == Address(kind=MessageKind.HEALTH, host=host)
    assert TOPICS.parse(TOPICS.presence(host)) == Address(kind=MessageKind.PRESENCE, host=host)
    assert TOPICS.parse(TOPICS.request(host)) == Address(kind=MessageKind.REQUEST, host=host)
    assert TOPICS.parse(TOPICS.state(host)) == Address(kind=MessageKind.STATE, host=host)
    evidence = Address(kind=MessageKind.EVIDENCE, host=host, source=source)
    assert TOPICS.parse(TOPICS.evidence(host, source)) == evidence


@given(topic=st.text(max_size=60))
def test_any_text_is_parsed_or_rejected(topic: str) -> None:
    TOPICS.parse(topic)
    TOPICS.may_reply_to(topic)


def test_the_names_of_the_outgoing_topics() -> None:
    assert TOPICS.event("n1") == "fenced/v1/dc1/event/n1"
    assert TOPICS.event(None) == "fenced/v1/dc1/event"
    assert TOPICS.state("n1") == "fenced/v1/dc1/state/n1"
    assert TOPICS.controller("a") == "fenced/v1/dc1/controller/a"
    assert TOPICS.info == "fenced/v1/dc1/info"
    assert TOPICS.command("n1") == "fenced/v1/dc1/command/n1"
    assert TOPICS.reply("r-1") == "fenced/v1/dc1/reply/r-1"


@pytest.mark.parametrize(
    "topic",
    [
        "fenced/v1/dc2/health/n1",
        "fenced/v2/dc1/health/n1",
        "fenced/v1/dc1/health",
        "fenced/v1/dc1/health/n1/x",
        "fenced/v1/dc1/evidence/n1",
        "fenced/v1/dc1/state/n1/x",
        "$SYS/broker/version",
        "",
    ],
)
def test_other_topics_have_no_address(topic: str) -> None:
    assert TOPICS.parse(topic) is None


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a\0", "a\nb", "x" * 254])
def test_a_name_stays_one_level(name: str) -> None:
    with pytest.raises(ValueError, match="level of an MQTT topic"):
        TOPICS.state(name)


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("answers/me", True),
        ("fenced/v1/dc1/reply/r-1", True),
        ("fenced/v1/dc1/state/n1", False),
        ("fenced/v1/dc2/reply/r-1", False),
        ("fenced/", False),
        ("answers/+", False),
        ("answers/#", False),
        ("$SYS/x", False),
        ("", False),
        ("a\0", False),
        ("x" * 1025, False),
    ],
)
def test_which_reply_topics_are_allowed(topic: str, may: bool) -> None:
    assert TOPICS.may_reply_to(topic) is may


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mqtt://broker", BusUrl(scheme="mqtt", host="broker", port=1883)),
        ("mqtts://broker.example.org/", BusUrl(scheme="mqtts", host="broker.example.org", port=8883)),
        ("mqtt://[::1]:2883", BusUrl(scheme="mqtt", host="::1", port=2883)),
        ("embedded://127.0.0.1:1884", BusUrl(scheme="embedded", host="127.0.0.1", port=1884)),
    ],
)
def test_bus_urls(text: str, url: BusUrl) -> None:
    assert BusUrl.parse(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("broker:1883", "begin with"),
        ("http://broker", "begin with"),
        ("mqtt://", "HOST:PORT"),
        ("mqtt://a:99999", "HOST:PORT"),
        ("mqtt://a:0", "port 0"),
        ("mqtt://a/topic", "must be mqtt://HOST:PORT"),
        ("mqtt://u:p@a", "never written inline"),
        ("embedded://10.0.0.1", "loopback"),
        ("embedded://0.0.0.0", "loopback"),
    ],
)
def test_wrong_bus_urls_say_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BusUrl.parse(text)
