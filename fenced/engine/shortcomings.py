"""Warns of what works less than a person may believe: observers that nobody knows yet, a store of an older format."""

from collections.abc import Iterator, Sequence

from fenced.core.fleet import Fleet
from fenced.core.heard.own import NEWEST_FORMAT
from fenced.core.reach.domains import domain_of
from fenced.ports.proxies import ProxyView


def warnings(fleet: Fleet, proxies: Sequence[ProxyView]) -> Iterator[str]:
    yield from _observers(fleet, proxies)
    if not fleet.is_standby and fleet.own.lease_until > 0.0 and fleet.own.format < NEWEST_FORMAT:
        yield (
            f"the store has format {fleet.own.format}, without the newest records (decisions, storms): run "
            "`fenced store upgrade` once every controller has this program"
        )


def _observers(fleet: Fleet, proxies: Sequence[ProxyView]) -> Iterator[str]:
    daemon, inventory = fleet.inventory.daemon, fleet.inventory
    domains = {daemon.domain, *(domain_of(name, inventory) for name in fleet.own.observers)}
    unknown = sorted(view.name for view in proxies if view.is_up is False and view.answered_at is None)
    if unknown and len(domains) < daemon.observers:
        yield (
            f"{len(domains)} of the {daemon.observers} failure domains of [detection] observers can look: whether "
            f"{', '.join(unknown)} looks is not known, because it has not answered since the start"
        )
