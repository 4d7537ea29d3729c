"""The decision records of the store, for operators who ask why: the part of the `Journal` port that reads them."""

from dataclasses import dataclass
from typing import Protocol

from fenced.core.durable.records import Decided
from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision record in its place. `at`: seconds of the steady clock."""

    at: float
    host: HostName
    record: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """One page of decisions about a host, newest first. `next`: the `after` of the next page, or None."""

    items: tuple[RecordedDecision, ...]
    next: str | None


class Decisions(Protocol):
    """Decisions are kept as long as other records, and pruned with them."""

    async def decisions(self, host: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        """Return decisions about a host, newest first. `before`: only earlier ones than this moment; None: all.

        Raises ValueError if `after` is no cursor of this list.
        """
        ...
