"""S12: an expression that can't be parsed selects no host, and names match exactly."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.allowed.match import BadMatch, matches, parse, why_none
from fenced.model.names import HostName
from tests.core.desk import NODE, Desk, said

LONG = HostName("node-2.rack-1.example.org")


@pytest.mark.parametrize(
    "expression", ["", " ", ",", "host=", "=node-2", "host", "na me=node-2", "host=node-2,", "* , *"]
)
def test_a_match_that_can_not_be_read_selects_no_host(expression: str) -> None:
    host = Desk(is_calm=False).fleet.host(NODE)
    assert not matches(expression, host)
    with pytest.raises(BadMatch):
        parse(expression)


@pytest.mark.parametrize(
    "word",
    ["node-2", "node-2.rack-1", "node", "NODE-2.rack-1.example.org", "*.example.org", "node-2.rack-1.example.org."],
)
def test_a_name_is_matched_wholly(word: str) -> None:
    host = replace(Desk(is_calm=False).fleet.host(NODE), name=LONG)
    assert matches(f"host={LONG}", host)
    assert not matches(f"host={word}", host)


def test_a_label_is_a_key_like_others() -> None:
    host = replace(Desk(is_calm=False).fleet.host(NODE), labels=(("feed", "a"),), rack="r1")
    assert matches("feed=a,rack=r1", host)
    assert not matches("feed=b", host)
    assert not matches("shelf=", host)
    assert why_none("feed=a", [host]) == ""
    assert "no host has a label shelf; use one of host, cluster, datacenter, rack, role, feed" in why_none(
        "shelf=1", [host]
    )


def test_all_words_must_hold() -> None:
    host = Desk(is_calm=False).fleet.host(NODE)
    assert matches(f"host={NODE}, cluster={host.cluster}", host)
    assert not matches(f"host={NODE}, cluster=another", host)
    assert not matches(f"host=node-1, cluster={host.cluster}", host)


@pytest.mark.parametrize("expression", ["", "host=node", "host=node-2,cluster=another"])
def test_a_pause_that_selects_no_host_is_refused(expression: str) -> None:
    desk = Desk()
    answer = desk.do(e.PauseAsked(match=expression, by="person", reason="told", until=None)).answer
    assert said(answer) == "refused match"
    desk.fence()
