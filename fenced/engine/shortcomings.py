"""Warns of what works less than a person may believe: observers, reloads of proxies, a store of an older format."""

from collections.abc import Iterator, Sequence

from fenced.core.fleet import Fleet
from fenced.core.heard.own import NEWEST_FORMAT
from fenced.core.reach.domains import domain_of
from fenced.core.suspected import trials
from fenced.ports.proxies import ProxyView


def warnings(fleet: Fleet, proxies: Sequence[ProxyView], now: float) -> Iterator[str]:
    yield from trials.warnings(fleet, now)
    yield from _observers(fleet, proxies)
    for view in proxies:
        if view.reload_refused:
            yield f"proxy {view.name} goes on with its old configuration: {view.reload_refused}"
    if not fleet.is_standby and fleet.own.lease_until > 0.0 and fleet.own.format < NEWEST_FORMAT:
        yield (
            f"the store has format {fleet.own.format}, without the newest records (decisions, storms): run "
            "`fenced store upgrade` once every controller has this program"
        )


def _observers(fleet: Fleet, proxies: Sequence[ProxyView]) -> Iterator[str]:
    """Name the proxies that may be observers, whether or not there are enough without them: each is a domain more, and
    its own file may want it to look."""
    daemon, inventory = fleet.inventory.daemon, fleet.inventory
    domains = {daemon.domain, *(domain_of(name, inventory) for name in fleet.own.observers)}
    unknown = sorted(view.name for view in proxies if view.is_untold)
    if unknown:
        count = f"{len(domains)} of the {daemon.observers} failure domains of [detection] observers can look: "
        few = count if len(domains) < daemon.observers else ""
        yield (f"{few}whether {', '.join(unknown)} looks is not known, because it has not answered since the start")
