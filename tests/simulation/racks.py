"""The fleets of the scenarios: hosts, levels of devices, proxies, settings.

Knows nothing of faults. Every rack is one that an operator may configure.
"""

import random
from dataclasses import replace
from typing import Final

from fenced.model.power import Action
from tests.simulation.daemon_faults import SECOND
from tests.world.rack import Rack, Setting

FLEETS: Final[tuple[tuple[str, ...], ...]] = (
    ("pdu-a:1",),
    ("pdu-a:1", "pdu-b:1"),
    ("pdu-a:1", "pdu-b:1", "pdu-c:1"),
    ("bmc:1",),
    ("bmc:1", "pdu-a:2", "pdu-b:2"),
    ("pdu-a:1", "pdu-b:1", "bmc:2"),
    ("bmc-a:1", "pdu-a:1", "pdu-b:2"),
    ("bmc-a:1", "bmc-b:2"),
)
REACHES: Final[tuple[tuple[str, ...], ...]] = (("engine",), ("cluster", "engine"), ("engine", "cluster"), ("dc",))
LAYOUTS: Final[tuple[tuple[str, ...], ...]] = (
    ("c1/dc1",), ("c1/dc1", "c2/dc1"), ("c1/dc1", "c2/dc2"), ("c1/dc1", "c2/dc1", "c3/dc2"),
)  # fmt: skip
"""Clusters and their data centres, over which hosts and proxies are spread."""
WIDE_REACHES: Final[tuple[tuple[str, ...], ...]] = (
    ("cluster", "dc", "other_dc", "engine"),
    ("cluster", "other_dc"),
    ("dc", "engine"),
    ("other_dc", "dc"),
    ("tag:oob", "engine"),
    ("engine", "tag:oob"),
    ("px1", "cluster", "dc"),
    ("node-1.example.org", "10.9.0.1", "dc", "other_dc"),
    ("node-2", "px2", "engine"),
)
"""With every kind of word: names of proxies, and of their hosts, with aliases and addresses."""


def rack_of(dice: random.Random) -> Rack:
    """Draw the next rack."""
    proxies = tuple(f"px{number}" for number in range(1, dice.choice((1, 2, 3, 4))))
    settings: dict[str, Setting] = {
        "daemon.startup_quiet_seconds": 12.0,
        "daemon.lease_ttl_seconds": 15.0,
        "gates.budget_hosts": dice.choice((1, 2, 6)),
        "gates.budget_per_seconds": 120.0,
        "gates.cooldown_seconds": dice.choice((10.0, 30.0)),
        "gates.witness_wait_seconds": dice.choice((0.0, 5.0)),
        "gates.connectivity_at_least": dice.choice((3, 4)),
        "detection.heartbeat_interval_seconds": 6.5,
        "detection.release_grace_seconds": 30.0,
        "detection.boot_grace_seconds": 60.0,
        "detection.watch_interval_seconds": 20.0,
        "detection.late_message_seconds": dice.choice((5.0, 30.0)),
        "power.operation_timeout_seconds": dice.choice((40.0, 80.0)),
        "power.restore_timeout_seconds": 60.0,
        "power.attempt_timeout_seconds": dice.choice((5.0, 20.0)),
        "power.verify_timeout_seconds": dice.choice((5.0, 30.0)),
        "power.already_off_hold_seconds": dice.choice((5.0, 10.0)),
        "power.chassis_boot_timeout_seconds": 60.0,
    }
    settings |= _rarely(dice)
    reach = dice.choice([words for words in REACHES if proxies or "engine" in words])
    hosts = tuple(f"node-{number}" for number in range(1, 1 + dice.choice((6, 6, 6, 7))))
    if proxies and dice.random() < 0.5:
        return _spread(dice, _one_cluster(dice, hosts, proxies, reach, settings))
    return _one_cluster(dice, hosts, proxies, reach, settings)


def _spread(dice: random.Random, rack: Rack) -> Rack:
    """Spread hosts and proxies over clusters and data centres; some proxies run on hosts, and die with them."""
    layout = dice.choice(LAYOUTS)
    places = {host: layout[number % len(layout)] for number, host in enumerate(rack.hosts)}
    machines: dict[str, str] = {}
    for name in rack.proxies:
        if dice.random() < 0.5:
            machines[name] = dice.choice(rack.hosts)
        else:
            places[name] = dice.choice(layout)
    return replace(
        rack,
        places=places,
        machines=machines,
        tags={name: ("oob",) for name in rack.proxies if dice.random() < 0.5},
        names={rack.hosts[0]: ("node-1.example.org",)}
        | {name: (f"10.9.0.{number}",) for number, name in enumerate(rack.proxies, start=1) if name not in machines},
        reach=dice.choice(WIDE_REACHES),
    )


def _one_cluster(
    dice: random.Random,
    hosts: tuple[str, ...],
    proxies: tuple[str, ...],
    reach: tuple[str, ...],
    settings: dict[str, Setting],
) -> Rack:
    return Rack(
        hosts=hosts,
        devices=dice.choice(FLEETS),
        proxies=proxies,
        reach=reach,
        settings=settings,
        is_standby_separate=dice.random() < 0.7,
        boot_seconds=dice.choice((5.0, 10.0, 30.0)),
        other_daemons=(SECOND,) if dice.random() < 0.3 else (),
        settle_seconds=dice.choice((0.0, 0.0, 3.0, 8.0)),
        settle_after_return_seconds=dice.choice((0.0, 0.0, 60.0)),
        own_machine=hosts[-1] if dice.random() < 0.25 else "",
        protected=(hosts[-2],) if dice.random() < 0.1 else (),
    )


def _rarely(dice: random.Random) -> dict[str, Setting]:
    """Draw settings that most operators don't change."""
    settings: dict[str, Setting] = {}
    if dice.random() < 0.25:
        settings["detection.alive_but_silent"] = "fence"
    if dice.random() < 0.15:
        settings["detection.on_report"] = "fence"
    if dice.random() < 0.2:
        settings["check.interval_seconds"] = 60.0
    if dice.random() < 0.2:
        settings["host.fence_action"] = Action.OFF
    if dice.random() < 0.08:
        settings["host.automatic"] = False
    if dice.random() < 0.1:
        settings["gates.budget_unrecovered"] = 3
    if dice.random() < 0.2:
        settings["gates.attempts_count"] = dice.choice((1, 2))
    return settings
