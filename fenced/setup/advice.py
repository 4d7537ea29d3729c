"""What an operator does after `fenced setup`: the commands, in their order, each with its reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fenced.model.text import some
from fenced.setup import checks, daemon
from fenced.setup.asked import Asked
from fenced.setup.fleet import Fleet, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`cut_off`: hosts that the broker refuses from its reload until their archive is installed."""

    asked: Asked
    fleet: Fleet
    written: Written
    has_broker: bool
    has_problems: bool
    has_bundles: bool
    cut_off: Sequence[str]


def next_steps(of: Situation) -> Iterator[str]:
    """Yield one line for each step."""
    if of.asked.is_renewal:
        yield from _copy(of)
        return
    lacking = checks.unused(of.written, of.fleet)
    if lacking:
        yield f"set in [bus] of {daemon.CONFIGURATION}, which does not use the daemon's account: {'; '.join(lacking)}"
    if of.has_problems:
        yield "settle the problems above, then run fenced setup again: the broker's files were not written"
    hosts = of.fleet.hosts
    bare = [name for name in hosts if name in of.written.without_device or name not in of.written.hosts]
    if bare:
        yield f"give each host its power devices in {daemon.INVENTORY.parent}: {some(bare, 8)}"
    yield f"fenced check-config {daemon.CONFIGURATION}"
    for name in of.cut_off:
        yield (
            f"fencectl maintenance {name} on --reason 'new password' --until 4h   # the broker refuses it "
            "until it has its archive, and an armed daemon would fence it"
        )
    if of.fleet.controller_account in of.asked.reissue:
        yield from _daemon_reissued(of)
    else:
        if of.has_broker:
            yield "systemctl daemon-reload; systemctl restart mosquitto   # accounts only: systemctl reload mosquitto"
        yield "systemctl enable --now fenced fenced-renew.timer       # for changes: systemctl reload fenced"
    yield from _copy(of)
    for name in of.cut_off:
        yield f"fencectl maintenance {name} off --reason 'it has its archive'"
    yield "fencectl hosts                                         # every host is heard: healthy"


def _daemon_reissued(of: Situation) -> Iterator[str]:
    """A reload of the daemon refuses another password of the bus. Operations under way survive a restart."""
    if of.has_broker:
        yield (
            "systemctl reload mosquitto && systemctl restart fenced   # both at once: the broker now refuses the old "
            "password. The daemon hears no host for some seconds, fences none meanwhile, and continues its operations"
        )
    else:
        yield (
            f"install {daemon.BUNDLES}/broker.tar.gz at the broker, then at once systemctl restart fenced   # between "
            "the two the broker refuses the daemon: it hears no host and fences none"
        )
    if of.fleet.proxies:
        yield (
            "if the old key was stolen: its certificate opens the proxies until it ends. Give the daemon another name "
            "in `allow` of each proxy, or make a new authority (proxies.md)"
        )


def _copy(of: Situation) -> Iterator[str]:
    if of.has_bundles:
        yield (
            "copy each bundle to its machine, there `tar xf NAME.tar.gz && sudo NAME/install` in a folder of your own "
            f"(where others may write, they could exchange it), and remove it here: {daemon.BUNDLES}/"
        )
