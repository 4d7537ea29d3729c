"""Everything that the bus carried to one reader whose session the broker keeps, each message with its time."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiomqtt

from tests.e2e.configuration import SITE
from tests.e2e.programs import background
from tests.net import PATIENCE_SECONDS, until

Json = dict[str, Any]
WORDS = ("event/#", "event", "state/#", "controller/#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One message. `at`: the wall clock at its arrival. `word`: `event`, `state` or `controller`."""

    at: float
    word: str
    name: str
    body: Json
    is_retained: bool = False

    @property
    def kind(self) -> str:
        """An event's type without its domain: `host.fenced`."""
        return str(self.body.get("type", "")).removeprefix("io.fenced.")

    @property
    def decided(self) -> float:
        """When an event was journalled, by the wall clock of its controller."""
        return datetime.fromisoformat(str(self.body["time"])).timestamp()

    @property
    def data(self) -> Json:
        found: Json = self.body["data"]
        return found


@dataclass(slots=True)
class Wire:
    """All messages in the order of their arrival."""

    carried: list[Carried] = field(default_factory=list)
    connections: int = 0

    def events(self, kind: str, host: str | None = None) -> list[Carried]:
        """Return the first message of each event."""
        seen: dict[str, Carried] = {}
        for message in self.carried:
            if message.kind == kind and (host is None or message.body.get("subject") == host):
                seen.setdefault(message.body["id"], message)
        return list(seen.values())

    def states(self) -> dict[str, str]:
        """Return the newest state of each host."""
        return {message.name: str(message.body.get("state")) for message in self.carried if message.word == "state"}

    async def event(self, kind: str, host: str | None = None, *, seconds: float = PATIENCE_SECONDS) -> Carried:
        await until(lambda: bool(self.events(kind, host)), seconds=seconds, what=f"{kind} of {host}")
        return self.events(kind, host)[0]

    def take(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        _, _, _, word, *rest = topic.split("/")
        body = json.loads(payload) if payload else {}
        self.carried.append(Carried(at=time.time(), word=word, name="/".join(rest), body=body, is_retained=is_retained))


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Wire]:
    """Listen during the block, also over breaks of the connection."""
    wire = Wire()

    async def listen() -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", port, identifier="wire", clean_session=False) as client:
                    for word in WORDS:
                        await client.subscribe(f"fenced/v1/{SITE}/{word}", qos=1)
                    wire.connections += 1
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        wire.take(str(message.topic), message.payload, is_retained=bool(message.retain))
            await asyncio.sleep(0.05)

    async with background(listen(), "wire"):
        await until(lambda: wire.connections > 0, what="a subscription")
        yield wire
