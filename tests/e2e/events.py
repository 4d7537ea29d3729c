"""What the daemon publishes on the bus, as another program would follow it: every event, and the retained states."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from tests.e2e.configuration import SITE
from tests.e2e.programs import background
from tests.net import PATIENCE_SECONDS, until

Json = dict[str, Any]
HOST = "io.fenced.host."


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message in the order of arrival. `state`: the retained state of its host as it was known then."""

    topic: str
    body: Json
    state: Json | None
    is_retained: bool = False

    @property
    def kind(self) -> str:
        """An event's type without its domain: `host.fenced`."""
        return str(self.body.get("type", "")).removeprefix("io.fenced.")

    @property
    def data(self) -> Json:
        data: Json = self.body["data"]
        return data


@dataclass(slots=True)
class Story:
    """Everything that was received. Repeats of an event are in `repeated`, not in `events`."""

    events: list[Heard] = field(default_factory=list)
    repeated: list[Heard] = field(default_factory=list)
    states: dict[str, Json] = field(default_factory=dict)
    controllers: dict[str, Json] = field(default_factory=dict)
    infos: list[Json] = field(default_factory=list)
    replies: list[Heard] = field(default_factory=list)
    state_messages: int = 0
    connections: int = 0

    def of(self, host: str | None, *kinds: str) -> list[Heard]:
        """Return events of one host (None: of all), of these kinds (none given: all of them), in order."""
        return [
            event
            for event in self.events
            if (host is None or event.body.get("subject") == host) and (not kinds or event.kind in kinds)
        ]

    def kinds(self, host: str | None = None) -> list[str]:
        return [event.kind for event in self.of(host)]

    async def event(self, host: str, kind: str, *, seconds: float = PATIENCE_SECONDS, number: int = 1) -> Heard:
        """Wait for the number-th event of that kind and return it."""
        await until(
            lambda: len(self.of(host, kind)) >= number, seconds=seconds,
            what=f"{kind} of {host} ({number}); heard {self.kinds(host)}",
        )  # fmt: skip
        return self.of(host, kind)[number - 1]

    async def state(self, host: str, state: str, *, seconds: float = PATIENCE_SECONDS) -> Json:
        """Return the retained state, once it is that."""
        await until(
            lambda: self.states.get(host, {}).get("state") == state, seconds=seconds,
            what=f"{host} is {state}; it is {self.states.get(host)}, heard {self.kinds(host)}",
        )  # fmt: skip
        return self.states[host]

    def take(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        body = json.loads(payload) if payload else {}
        _, _, _, word, *rest = topic.split("/")
        name = rest[0] if rest else ""
        if word == "state":
            self.states[name] = body
            self.state_messages += 1
        elif word == "controller":
            self.controllers[name] = body
        elif word == "info":
            self.infos.append(body)
        elif word == "reply":
            self.replies.append(Heard(topic=topic, body=body, state=None, is_retained=is_retained))
        else:
            heard = Heard(topic=topic, body=body, state=self.states.get(name), is_retained=is_retained)
            is_repeated = any(event.body["id"] == body["id"] for event in self.events)
            (self.repeated if is_repeated else self.events).append(heard)


@contextlib.asynccontextmanager
async def following(port: int, *, seconds: float = 10.0) -> AsyncIterator[Story]:
    """Follow during the block, with a session that the broker keeps, even over restarts of the broker."""
    story = Story()

    async def follow() -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", port, identifier="e2e-story", clean_session=False) as client:
                    for word in ("event/#", "event", "state/#", "controller/#", "info", "reply/#"):
                        await client.subscribe(f"fenced/v1/{SITE}/{word}", qos=1)
                    story.connections += 1
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        story.take(str(message.topic), message.payload, is_retained=bool(message.retain))
            await asyncio.sleep(0.05)

    async with background(follow(), "story"):
        await until(lambda: story.connections > 0, seconds=seconds, what="a subscription to the events")
        yield story


def is_before(story: Story, first: Callable[[Heard], bool], second: Callable[[Heard], bool]) -> bool:
    """Return whether the first event that fulfils one condition came before the first that fulfils the other."""
    places = [next(i for i, event in enumerate(story.events) if condition(event)) for condition in (first, second)]
    return places[0] < places[1]
