"""What works less than a person may believe is a warning of `fencectl status`."""

from fenced.engine.shortcomings import warnings
from fenced.model.names import ProxyName
from fenced.ports.proxies import ProxyView
from tests.core.observers_desk import PX1, PX2, observed, rack

GONE = ProxyView(name=PX2, url="https://px2:8471", is_up=False, error="proxy px2: can't be reached")


def test_a_proxy_that_has_not_answered_since_the_start_is_named_also_where_others_are_enough() -> None:
    """It may look, and its domain may be the one that a fence needs."""
    at = observed(rack(observers=("px1",)))
    (said,) = warnings(at.fleet, [GONE], at.now)
    assert said == "whether px2 looks is not known, because it has not answered since the start"
    at = observed(rack(observers=()))
    (said,) = warnings(at.fleet, [GONE], at.now)
    assert said.startswith("1 of the 2 failure domains of [detection] observers can look: whether px2 looks is not")


def test_one_that_answered_once_or_was_not_asked_yet_is_not_named() -> None:
    at = observed(rack(observers=("px1",)))
    asked = ProxyView(name=PX2, url="https://px2:8471", is_up=False, answered_at=at.now - 60.0)
    unasked = ProxyView(name=PX1, url="https://px1:8471")
    known = ProxyView(name=ProxyName("px3"), url="https://px3:8471", is_up=False, looks_at=("10.0.0.0/8",))
    assert [*warnings(at.fleet, [asked, unasked, known], at.now)] == []


def test_a_proxy_whose_reload_was_refused_is_named_with_the_mistake() -> None:
    at = observed(rack())
    why = "reload refused at 2026-01-31 03:12:00 UTC: 1 errors, the first: look.targets is missing"
    (said,) = warnings(at.fleet, [ProxyView(name=PX1, url="https://px1:8471", is_up=True, reload_refused=why)], at.now)
    assert said == f"proxy px1 goes on with its old configuration: {why}"
