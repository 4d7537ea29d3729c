"""The values of the model: three controllers, one store with one lease, two proxies, one plug, and the bus.

Time is abstract: an event says that a lease or a `not_after` is over, and the guards of `rules.py` keep the order that
the program's clocks guarantee. A frozen controller or a hung store is one whose next step does not happen yet. Epochs
and revisions count by their order only (`symmetry.py`), so takings, commands and lives are not bounded.
"""

from enum import IntEnum
from typing import Final, NamedTuple

CONTROLLERS: Final = 3

RULES: Final[dict[str, str]] = {
    "epoch": "S20: an append fails when the lease's row names another epoch",
    "holder": "S20, S21: store and proxies compare the holder beside the epoch",
    "waits for append": "S20: the taker waits for the append that is running",
    "row watched": "S20: a taker sees the row unchanged for a whole lease on its own clock",
    "counted from before": "S20: the holder counts its lease from before it sent the renewal",
    "own lease": "S20: the holder sends nothing once its own lease time is over",
    "outbox": "S20: the outbox is read under the epoch",
    "silent standby": "S20: a standby publishes nothing",
    "floor": "S21: a proxy refuses a command below the floor that it echoed",
    "compared again": "S21: a proxy compares the floor once more right before the driver starts",
    "floor on disk": "S21: a proxy keeps its floor over a restart",
    "boot": "S5: a proxy that restarted refuses what was sent to it before",
    "not after": "S5, S21: `not_after` travels as journalled and is never anchored anew",
    "settled": "S21: the successor waits for the commands of its predecessors",
    "read first": "S13, S21: a controller reads the device before its first command",
    "promotion": "S22: a database that was promoted since the row was written counts as one that lost its tail",
    "holder too": "S22: the holder, too, has lost its lease when the database was promoted",
    "batch": "S22: the holder's transactions demand the row as its own last one left it",
    "watched anew": "S22: after a promotion the row is watched for a whole lease again",
    "released anew": "S22: a release that was written before a promotion counts no more",
    "longest": "S22: after a loss every plug waits for the longest `not_after` that a lost command may have",
    "loss kept": "S22: who takes next after a loss knows of it too",
    "above seen": "S22: the epoch after a loss is above what taker, bus and reachable proxies saw",
    "jump": "S22: and above everything that the lost tail may have held",
    "proof anew": "S22: after a loss `fenced` is announced only once the device was read OFF again",
    "replaces": "S22: a lost `fenced` on the bus is announced anew with `replaces`",
    "revoke lost": "S22: a lost state on the bus that is not OFF is revoked",
    "published anew": "S20: the holder publishes anew over a lower revision",
}
"""Every rule that can be left out, to see what breaks without it."""

ASSUMED: Final[dict[str, str]] = {
    "no stop before the write": "no machine is stopped between the last comparison and the write to the device",
    "one primary": "no database that was replaced goes on accepting writes",
    "hot standby": "who takes after a loss heard the bus all the time, and not only its retained states",
}
"""What nobody promises. Left out like a rule, the model shows what then happens."""


class Term(NamedTuple):
    """One taking of the lease. `taking`: stands for the random holder; no two takings share it."""

    epoch: int = 0
    taking: int = 0


NOBODY: Final = Term()


class Message(NamedTuple):
    """The state of the host, as one record says it. `rev`: epoch and sequence. `is_lost`: the journal lost it."""

    rev: tuple[int, int] = (0, 0)
    taking: int = 0
    is_fenced: bool = False
    is_lost: bool = False


class Post(NamedTuple):
    """A publication that its controller, frozen meanwhile, or the network delivers late."""

    who: Term
    state: Message


class Store(NamedTuple):
    """The lease's row and what the journal says of the host.

    `is_watched`: a standby saw the row unchanged for a whole lease. `is_promoted`: the database was promoted since the
    row was written. `is_behind`: the holder that the row names wrote more, which is not in here.
    """

    term: Term = NOBODY
    is_released: bool = True
    is_watched: bool = False
    is_promoted: bool = False
    is_behind: bool = False
    state: Message = Message()


class Reading(IntEnum):
    """What a controller read at the device since it took the lease and since its last command."""

    NONE = 0
    ON = 1
    OFF = 2


class Controller(NamedTuple):
    """A life that took the lease. `is_over`: its own lease time is over. `is_wary`: it took after a loss."""

    term: Term
    is_over: bool = False
    reading: Reading = Reading.NONE
    is_wary: bool = False


class Proxy(NamedTuple):
    """`floor`: what commands are compared with; `echoed`: what it said that its floor is."""

    floor: Term = NOBODY
    echoed: Term = NOBODY


class Stage(IntEnum):
    """Where a command is. HELD: recorded; its controller has not yet compared its own lease. SENT: on its way."""

    HELD = 0
    SENT = 1
    ACCEPTED = 2
    STARTED = 3


class Command(NamedTuple):
    """A command of the plug that may still act.

    `is_recorded`: the journal knows it; `is_kept`: the copy, too. `is_counted`: its `not_after` is not over.
    `is_old`: a newer command was recorded since.
    """

    term: Term
    proxy: int
    is_on: bool
    stage: Stage = Stage.HELD
    is_recorded: bool = True
    is_kept: bool = False
    is_counted: bool = True
    is_old: bool = False


class Does(IntEnum):
    """What can happen. Up to POST a controller does it; then proxies, network and devices; then store and clocks."""

    TAKE = 0
    RENEW = 1
    RELEASE = 2
    END = 3
    RAISE = 4
    READ = 5
    COMMAND = 6
    FENCE = 7
    FREE = 8
    CHECK = 9
    ANNOUNCE = 10
    POST = 11
    ACCEPT = 12
    START = 13
    ACT = 14
    LOSE = 15
    RESTART = 16
    DELIVER = 17
    DROP = 18
    COMMIT = 19
    ABORT = 20
    OVER = 21
    WATCH = 22
    CUT = 23
    PROMOTE = 24


class Action(NamedTuple):
    """One thing that happens. `who`: the controller; `number`: the proxy, or the command's place.

    `is_knowing`: TAKE: the taker or a proxy that it reaches saw what was lost. `is_elsewhere`: at the database that was
    replaced.
    `replaces`: FENCE: the revision of the lost state that was heard on the bus.
    """

    does: Does
    who: Term = NOBODY
    number: int = 0
    is_on: bool = False
    is_knowing: bool = True
    is_elsewhere: bool = False
    replaces: tuple[int, int] = (0, 0)


class Scope(NamedTuple):
    """What is explored. `is_announcing`: with the bus; without it, readers learn of each record at once.

    `may_lose`: the store may lose its tail, once. `proxies`: how many there are; with none, a
    command starts at its device as soon as it is recorded. `may_delay`: a publication may arrive late.
    """

    is_announcing: bool = True
    may_lose: bool = True
    proxies: int = 2
    may_delay: bool = True


EVERYTHING: Final = Scope()


class World(NamedTuple):
    """Everything. `copy`: the standby database, as far as it got; None: it has everything so far.

    `is_doubted`: a loss happened. `bus`: the retained state; `reader`: what a reader believes, who compares revisions;
    `post`: a publication of a frozen controller. `running`: an append that holds the row's lock.
    """

    store: Store = Store()
    copy: Store | None = None
    is_doubted: bool = False
    controllers: tuple[Controller, ...] = ()
    proxies: tuple[Proxy, ...] = (Proxy(), Proxy())
    commands: tuple[Command, ...] = ()
    is_on: bool = True
    bus: Message = Message()
    reader: Message = Message()
    post: Post | None = None
    running: Action | None = None

    def controller(self, term: Term) -> Controller:
        return next(it for it in self.controllers if it.term == term)


def is_below(term: Term, floor: Term, without: frozenset[str] = frozenset()) -> bool:
    """Return whether a floor refuses the term: a lower epoch, or the same epoch of another holder."""
    if term.epoch != floor.epoch:
        return term.epoch < floor.epoch
    return term.taking != floor.taking and "holder" not in without
