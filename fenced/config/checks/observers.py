"""Checks who can look at silent hosts, and what an observer must reach to count.

A proxy's own file decides whether it looks, so this file can only tell how many failure domains there could be.
"""

from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, warning
from fenced.core.reach.domains import domain_of
from fenced.model.addresses import canonical, names_nobody


def domains(draft: Draft) -> Iterator[Finding]:
    """Warn if `observers` asks for more failure domains than the daemon and all proxies are in."""
    wanted, where = draft.main.detection.observers, draft.where.key("detection").key("observers")
    inventory = draft.inventory
    found = {draft.main.daemon.domain}
    found.update(domain_of(name, inventory) for name in inventory.proxies)
    if wanted <= len(found) or not draft.built.is_sure_of_places:
        return
    named = ", ".join(sorted(found - {""})) or "none has a name"
    is_any_unknown = " (those without one count as one)" if "" in found else ""
    yield warning(
        where,
        f"the daemon and its proxies are in {len(found)} failure domain(s){is_any_unknown}: {named}; so many decide "
        "whether a silent host lives. Set `domain` of [daemon] and [[proxy]], and [look] in the files of proxies",
        value=wanted,
        unit="count",
        rests_on=(draft.where.key("daemon").key("domain"),),
    )


def references(draft: Draft) -> Iterator[Finding]:
    """A reference is reached over a network that hosts are on, and is another machine than the daemon's."""
    networks = {network for built in draft.hosts for network, _ in built.host.networks}
    own = {canonical(name) for built in draft.hosts if built.host.is_own_machine for name in built.host.names}
    where = draft.where.key("detection").key("references")
    for index, (network, address) in enumerate(draft.main.detection.references):
        if names_nobody(address):
            yield error(
                where.item(index),
                "is reached without any network, so it proves nothing: name a gateway or another machine",
                value=address,
                unit="address",
                rests_on=(where,),
            )
        elif canonical(address) in own:
            yield warning(
                where.item(index),
                "is the daemon's own machine, which proves nothing to the daemon itself: add another one",
                value=address,
                unit="address",
                rests_on=(where,),
            )
        elif draft.hosts and network not in networks:
            yield warning(
                where.item(index),
                f"has no effect: no host has an address on this network ({network or 'that of `address`'})",
                value=address,
                unit="address",
                rests_on=(where,),
            )
