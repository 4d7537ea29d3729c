"""Findings are dropped if a refused key is behind them, and merged where one line is enough."""

from fenced.config.checks.finding import error, once_for_all, report, warning
from fenced.config.mistakes import Mistakes, Where

HOST = Where("f").key("host").item(0)


def test_a_finding_that_rests_on_a_refused_key_is_dropped() -> None:
    mistakes = Mistakes()
    mistakes.refuse(HOST.key("address"))
    found = [
        error(HOST.key("address"), "at the key itself"),
        error(HOST.key("proxies"), "follows from it", rests_on=(HOST.key("name"), HOST.key("address"))),
        error(HOST.key("proxies"), "does not", rests_on=(HOST.key("name"),)),
    ]
    report(found, mistakes)
    assert [mistake.reason for mistake in mistakes.errors] == ["does not"]


def test_findings_of_one_kind_become_one_that_counts_those_which_are_reported() -> None:
    mistakes = Mistakes()
    mistakes.refuse(Where("f").key("host").item(0).key("address"))
    hosts = [Where("f").key("host").item(index) for index in range(4)]
    found = [
        warning(host, "has no address", rests_on=(host.key("address"),), once=once_for_all("hosts")) for host in hosts
    ]
    report([*found, warning(hosts[0], "another")], mistakes)
    assert [(mistake.path, mistake.reason) for mistake in mistakes.warnings] == [
        ("host[0]", "another"),
        ("host[1]", "has no address (and 2 more hosts)"),
    ]
