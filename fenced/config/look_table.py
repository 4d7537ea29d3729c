"""`[look]` of the proxy agent's file: what daemons may have this proxy look at. Without it, the proxy looks at nothing.

A list of networks is required: a proxy that looked wherever it is asked would scan its networks for others.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from fenced.config.keys import Count, Listed, Text
from fenced.config.mistakes import Mistakes, Where
from fenced.config.table import Table
from fenced.config.validate import parse
from fenced.model.look_rules import LookRules, parse_network

ITEMS_MAX: Final = 64
"""They are shown in the proxy's status, which is bounded."""


class LookTable(Table):
    targets: Annotated[
        tuple[str, ...],
        Listed(
            "networks and addresses of hosts and controls that may be looked at, as `10.0.0.0/8`; required",
            item=Text(""),
        ),
    ] = ()
    ports: Annotated[
        tuple[int, ...],
        Listed(
            "TCP ports that may be looked at: the daemon's `probe_ports`, and that of proxy agents on hosts",
            item=Count("", most=65535),
            least=1,
        ),
    ] = (22,)


def look_rules(given: Mapping[str, object], where: Where, mistakes: Mistakes) -> LookRules:
    """Return what may be looked at; report every mistake."""
    table = parse(LookTable, given, where, mistakes).table
    if not table.targets:
        mistakes.error(
            where.key("targets"), 'is missing: list the networks that may be looked at, as ["10.0.0.0/8"]', unit="list"
        )
    for key, items in (("targets", table.targets), ("ports", table.ports)):
        if len(items) > ITEMS_MAX:
            mistakes.error(where.key(key), f"must have at most {ITEMS_MAX} items", value=len(items), unit="list")
    good = []
    for index, text in enumerate(table.targets):
        try:
            parse_network(text)
        except ValueError as exc:
            mistakes.error(where.key("targets").item(index), str(exc), value=text, unit="network")
        else:
            good.append(text)
    return LookRules.parse(tuple(good), table.ports)
