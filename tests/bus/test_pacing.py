"""Under load messages gather; an awaited answer never does, and no message seems to have waited longer than it did."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from fenced.bus import pacing, waiting
from fenced.bus.pacing import Reader
from fenced.bus.reading import READ_BYTES, Incoming
from fenced.bus.waiting import LOOK_SECONDS
from tests.bus.test_reading import BEAT_SENT
from tests.net import until

FOR_EVER = 3600.0
TURNS = 20


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Line:
    """A reader over a socket pair. `heard`: how long each message may have waited, at most."""

    def __init__(self) -> None:
        self.near, self._far = socket.socketpair()
        self._far.setblocking(False)
        self.heard: list[float] = []
        self.faults: list[Exception] = []
        self.is_awaited = False
        self.why: Exception | None = None
        self.incoming = Incoming(self._far, is_version_5=True, on_message=self._take, read_packet=lambda: None)
        self.reader = Reader(self.incoming, is_awaited=lambda: self.is_awaited, on_fault=self.faults.append)
        self.reader.start()

    def _take(self, topic: str, payload: bytes, is_retained: bool) -> None:
        self.heard.append(self.reader.waited_seconds)
        if self.why is not None:
            raise self.why

    async def send(self, *, is_heard: bool = True) -> None:
        expected = len(self.heard) + is_heard
        self.near.sendall(BEAT_SENT)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if is_heard:
            await until(lambda: len(self.heard) == expected)
        assert len(self.heard) == expected


@contextlib.asynccontextmanager
async def line() -> AsyncIterator[Line]:
    made = Line()
    try:
        yield made
    finally:
        made.reader.stop()
        made.incoming.close()
        made.near.close()


async def test_messages_that_follow_closely_gather_until_an_answer_is_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "GATHER_SECONDS", FOR_EVER)
    async with line() as it:
        await it.send()
        await it.send()
        await it.send(is_heard=False)
        await it.send(is_heard=False)
        it.is_awaited = True
        it.reader.hurry()
        await until(lambda: len(it.heard) == 4)
        await it.send()
        await it.send()


async def test_gathered_messages_are_read_in_time_and_the_next_at_once() -> None:
    async with line() as it:
        expected = 0
        for count in (1, 2, 50):
            it.near.sendall(BEAT_SENT * count)
            expected += count
            await until(lambda expected=expected: len(it.heard) == expected)
        await asyncio.sleep(5 * pacing.GATHER_SECONDS)
        await it.send()


async def test_under_load_no_read_is_for_a_single_message() -> None:
    """A read that gathered is followed by one that gathers again."""
    async with line() as it:
        reads: list[int] = []
        read = it.incoming.read

        def counting() -> int:
            reads.append(read())
            return reads[-1]

        it.incoming.read = counting  # type: ignore[method-assign]
        end, sent_at, slow = now() + 20 * pacing.GATHER_SECONDS, now(), 0
        while now() < end:
            it.near.sendall(BEAT_SENT)
            await asyncio.sleep(0.001)
            slow += now() > sent_at + pacing.GATHER_SECONDS / 3  # this process had no processor: no load then
            sent_at = now()
        single = sum(heard == 1 for heard in reads)
        assert len(reads) > 5
        assert single <= 3 + slow, f"of {len(reads)} reads {single} were for one message"


async def test_a_gathered_message_shows_how_long_it_waited_and_the_next_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "GATHER_SECONDS", FOR_EVER)
    async with line() as it:
        await it.send()
        await it.send()
        sent = now()
        it.near.sendall(BEAT_SENT)
        await asyncio.sleep(4 * LOOK_SECONDS)
        hurried = now()
        it.is_awaited = True
        it.reader.hurry()
        await until(lambda: len(it.heard) == 3)
        assert it.heard[2] >= hurried - sent >= 3 * LOOK_SECONDS
        await it.send()
        assert it.heard[3] <= now() - hurried


async def test_in_a_flood_a_message_waited_no_longer_than_what_is_ahead_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that floods its topic must not make every other host's beats look old: the socket is never empty then."""
    clock = [0.0]
    monkeypatch.setattr(waiting, "_boottime", lambda: clock[0])
    count = READ_BYTES // len(BEAT_SENT) + 1
    ahead, sent_at, waited = 3, list[float](), list[tuple[float, float]]()
    async with line() as it:
        for number in range(20):
            it.near.sendall(BEAT_SENT * count)
            sent_at += [clock[0]] * count
            clock[0] += 1.0
            for _ in range(TURNS if number >= ahead else 0):
                await asyncio.sleep(0)
                if len(it.heard) > len(waited):
                    break
            heard = range(len(waited), len(it.heard))
            waited += [(clock[0] - sent_at[one], it.heard[one]) for one in heard]
    assert len(waited) > 10 * count
    assert all(truly <= shown <= 2 * truly for truly, shown in waited)


async def test_an_exception_of_the_listener_ends_the_reading() -> None:
    async with line() as it:
        it.why = ValueError("a bug")
        await it.send()
        assert it.faults == [it.why]
        await it.send(is_heard=False)


async def test_nothing_is_read_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "GATHER_SECONDS", FOR_EVER)
    async with line() as it:
        await it.send()
        await it.send()
        it.reader.stop()
        await it.send(is_heard=False)
