"""What `MemoryJournal` stores: the contents of a disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.core.heard.own import NEWEST_FORMAT
from fenced.model.names import MAIN_SHARD, HostName, OperationId
from fenced.ports.journal import ClockAnchor, ControllerReport, OutboxMessage
from tests.fakes.budget import Budget
from tests.fakes.words import WordRows

if TYPE_CHECKING:
    from tests.fakes.journal import MemoryJournal


@dataclass(slots=True, kw_only=True)
class StoredMessage:
    """A message of the outbox with its state in the journal."""

    message: OutboxMessage
    at: float
    is_delivered: bool = False

    @property
    def is_event(self) -> bool:
        return not self.message.is_retained


@dataclass(slots=True, kw_only=True)
class Durable:
    """The contents of the disk, as far as they are of one shard, and the budget of all. It outlives the journals that
    are opened over it, one after the other."""

    shard: str = MAIN_SHARD
    budget: Budget = field(default_factory=Budget)
    store_id: str = "memory"
    replaces: str = ""
    """The id of the store that this one replaces, until an operator accepts it."""
    faults: dict[HostName, str] = field(default_factory=dict)
    fleet_fault: str = ""
    """Why the fleet can't be read."""
    format: int = NEWEST_FORMAT
    epoch: int = 0
    holder: str = ""
    place: str = ""
    given_by: "MemoryJournal | None" = None
    given_to: str | None = None
    """Whom a hand-over is for; None: there was none since the lease was taken."""
    controllers: dict[str, ControllerReport] = field(default_factory=dict)
    lease_until: float = 0.0
    anchor: ClockAnchor | None = None
    sequence: int = 0
    newest_epoch: int = 0
    """The epoch of the newest record."""
    last_at: float | None = None
    owner: "MemoryJournal | None" = None
    entries: dict[int, Entry] = field(default_factory=dict)
    hosts: dict[HostName, tuple[int, HostState]] = field(default_factory=dict)
    fleet: tuple[int, FleetState] = (0, FleetState())
    operations: dict[OperationId, tuple[int, Operation]] = field(default_factory=dict)
    operation_number: int = 0
    outbox: dict[int, StoredMessage] = field(default_factory=dict)
    outbox_number: int = 0
    words: WordRows = field(default_factory=WordRows)
