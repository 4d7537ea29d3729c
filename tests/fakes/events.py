"""The part of the control port that concerns events: a test emits them, and counts who watches."""

import asyncio
from collections.abc import AsyncIterator

from fenced.model.names import HostName
from fenced.model.positions import Position
from fenced.ports.control import Happened
from fenced.ports.journal import OutboxMessage


class FakeEvents:
    """Events of one shard. `failure`: what watchers get instead, after the next event."""

    shard: str
    events: list[OutboxMessage]
    changed: asyncio.Event
    watchers: int
    failure: Exception | None

    def begin_events(self) -> None:
        self.events, self.changed, self.watchers, self.failure = [], asyncio.Event(), 0, None

    async def newest(self) -> Position:
        return Position(numbers={self.shard: len(self.events)})

    async def watch(self, *, after: Position | None) -> AsyncIterator[Happened]:
        named = None if after is None else after.numbers.get(self.shard)
        seen = len(self.events) if named is None else named
        self.watchers += 1
        try:
            while True:
                if self.failure is not None:
                    raise self.failure
                for message in self.events[seen:]:
                    seen += 1
                    yield Happened(message=message, position=Position(numbers={self.shard: seen}))
                self.changed.clear()
                await self.changed.wait()
        finally:
            self.watchers -= 1

    def emit(self, kind: str, host: str) -> None:
        """Emit a new event; sequences count from 1."""
        sequence = len(self.events) + 1
        payload = f'{{"type":"io.fenced.host.{kind}","subject":"{host}","time":"2027-01-15T08:00:00Z","data":{{}}}}'
        self.events.append(
            OutboxMessage(
                id=f"e{sequence}",
                host=HostName(host),
                topic=f"fenced/v1/site-1/event/{host}",
                payload=payload.encode(),
                is_retained=False,
                sequence=sequence,
            )
        )
        self.changed.set()
