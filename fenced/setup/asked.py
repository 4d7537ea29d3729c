"""What an operator asks `fenced setup` for, and the report of what was done."""

import socket
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from fenced.setup import daemon
from fenced.setup.files import Manifest, Outcome
from fenced.setup.fleet import Fleet, Written
from fenced.setup.issued import RENEW_DAYS, Now, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator asked for. `addresses`: (host, address) for a first inventory.

    `reissue`: accounts and proxies that get a new password or certificate; `revoke`: accounts that the broker loses.
    `has_broker`: whether the broker runs on this machine; None: as in the last run, at first if Mosquitto is installed.
    `site` and `controller` are those that an option named; the configuration must agree. `is_renewal`: renew what ends
    soon, and make and change nothing else, so that a timer may do it.
    """

    fleet: Fleet
    addresses: tuple[tuple[str, str], ...] = ()
    reissue: frozenset[str] = frozenset()
    revoke: frozenset[str] = frozenset()
    has_broker: bool | None = None
    site: str | None = None
    controller: str | None = None
    program: str = daemon.PROGRAM
    root: Path = Path("/")
    is_dry: bool = False
    is_renewal: bool = False
    within: timedelta = timedelta(days=RENEW_DAYS)
    now: Now = utc_now


@dataclass(slots=True, kw_only=True)
class Report:
    """What was done, in order. `problems`: what an operator must settle before the broker starts.

    `is_broker_renewed`: the broker of this machine has another certificate since; a reload makes it use it.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    bundles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    is_broker_renewed: bool = False


def completed(asked: Asked, written: Written, manifest: Manifest) -> Fleet:
    """Return the fleet that was asked for with what earlier runs know: their site and controller decide, and their
    sources and readers keep their rights until they are revoked."""

    def known(kind: str, given: tuple[str, ...]) -> tuple[str, ...]:
        names = dict.fromkeys((*manifest.named.get(kind, ()), *given))
        return tuple(name for name in names if name not in asked.revoke)

    fleet = asked.fleet
    return replace(
        fleet,
        site=written.site or fleet.site,
        controller=written.controller or fleet.controller,
        broker=tuple(dict.fromkeys((*fleet.broker, *known("broker", ())))) or (socket.getfqdn(),),
        sources=known("sources", fleet.sources),
        readers=known("readers", fleet.readers),
    )
