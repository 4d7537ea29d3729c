"""The lease under which a daemon's commands go to the proxies, and which proxies know of it (S21).

Only a comparison of epochs and holders: the store decides who has the lease, and client.py sends the requests.
"""

from collections.abc import Callable
from typing import Final

from fenced.model.names import PlugId, ProxyName, Token
from fenced.ports.proxies import FloorEcho
from fenced.proxy.floors import EPOCH_JUMP_MAX
from fenced.proxy.protocol import FloorAnswer, RaiseFloor

NO_EPOCH: Final = 0


class Lease:
    """`holder`: "" without a lease. `report`: called with the epoch when a proxy knows a later holder."""

    def __init__(self) -> None:
        self.epoch, self.holder = NO_EPOCH, ""
        self.report: Callable[[int], None] = lambda _: None
        self._raised: dict[ProxyName, str] = {}
        self._sent: set[ProxyName] = set()
        self._met: dict[ProxyName, int] = {}

    def use(self, *, epoch: int, holder: str) -> None:
        """Hold another lease from now on; no proxy knows of it yet."""
        if (epoch, holder) != (self.epoch, self.holder):
            self.epoch, self.holder = epoch, holder
            self._raised.clear()
            self._sent.clear()

    def is_raised_at(self, proxy: ProxyName, life: str) -> bool:
        """Return whether the proxy agent has echoed the epoch in this run. Its next one may have lost its disk."""
        return self._raised.get(proxy) == life

    def raised_at(self, proxy: ProxyName, life: str) -> None:
        self._raised[proxy] = life

    def is_new_to(self, proxy: ProxyName) -> bool:
        """Return whether the proxy was sent no command under this lease yet."""
        return proxy not in self._sent

    def sent_to(self, proxy: ProxyName) -> None:
        self._sent.add(proxy)

    def is_lost_to(self, epoch: int, holder: str) -> bool:
        """Return whether a proxy's floor belongs to a later holder, or to another one of this epoch."""
        return epoch > self.epoch or (epoch == self.epoch and holder not in ("", self.holder))

    def met(self, proxy: ProxyName, epoch: int, holder: str) -> None:
        """Note a proxy's floor of this shard, and report it if this lease is lost to it.

        The same epoch of another holder counts as the next one, because neither can go on under it. An
        epoch that no taking can have reached is a proxy's fault: it must not stop the daemon.
        """
        is_shared = epoch == self.epoch and self.is_lost_to(epoch, holder)
        self._met[proxy] = max(epoch + is_shared, self._met.get(proxy, NO_EPOCH))
        if self.holder and epoch - self.epoch <= EPOCH_JUMP_MAX and self.is_lost_to(epoch, holder):
            self.report(epoch)

    def highest_epoch(self, *, above: int) -> int:
        """As Floors.highest_epoch."""
        return max((epoch for epoch in self._met.values() if above < epoch <= above + EPOCH_JUMP_MAX), default=above)


def echo_of(answer: FloorAnswer, wanted: RaiseFloor) -> FloorEcho:
    """Convert an answer. A floor counts as raised only if the proxy names the epoch and the holder."""
    is_raised = answer.is_raised and (answer.epoch, answer.holder) == (wanted.epoch, wanted.holder)
    return FloorEcho(
        epoch=answer.epoch,
        holder=answer.holder,
        is_raised=is_raised,
        why="" if is_raised else answer.why or "it did not name the epoch",
        since=answer.since,
        under_way={(PlugId(it.plug), Token.parse(it.token)): it.not_after_seconds for it in answer.under_way},
        is_whole=answer.is_whole,
    )
