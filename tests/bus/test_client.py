"""The Bus port with Mosquitto: incoming and outgoing messages, refusals, losses and reconnects."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.testing import capture_logs

from fenced.model.inventory import Secret
from fenced.ports.bus import (
    BusConnected,
    BusDisconnected,
    BusError,
    BusEvent,
    BusRequest,
    Evidence,
    Health,
    HealthStatus,
    Message,
    MessageKind,
    MessageResult,
    Presence,
)
from tests.bus.parts import heard, mosquitto, other, running, settings
from tests.needs import find, needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto", "mosquitto_passwd")]


def message(topic: str = "fenced/v1/lab/event/node-1", payload: bytes = b"{}") -> Message:
    return Message(topic=topic, payload=payload, is_retained=False)


async def test_delivers_every_kind_of_message(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as host:
        body = {"boot": "b-1", "seq": 3, "status": "failing", "interval": 2, "workloads": 4, "roles": ["spm"], "x": 1}
        await host.publish("fenced/v1/lab/health/node-1", json.dumps(body), qos=1)
        await host.publish("fenced/v1/lab/health/node-2", b"", qos=1)
        await host.publish("fenced/v1/lab/presence/node-1", b"offline", qos=1)
        await host.publish(
            "fenced/v1/lab/evidence/node-1/san", b'{"kind":"storage_lease","alive":true,"ttl":30}', qos=1
        )
        await until(lambda: len(bus.events) >= 5)
    assert isinstance(bus.events[0], BusConnected)
    first, second = bus.of(Health)
    assert (first.host, first.boot, first.sequence, first.status) == ("node-1", "b-1", 3, HealthStatus.FAILING)
    assert (first.interval_seconds, first.workloads, first.roles, first.is_retained) == (2.0, 4, ("spm",), False)
    assert (second.host, second.status, second.boot) == ("node-2", HealthStatus.OK, None)
    assert not bus.of(Presence)[0].is_online
    assert (bus.of(Evidence)[0].source, bus.of(Evidence)[0].evidence_kind) == ("san", "storage_lease")
    assert not bus.telemetry.messages


async def test_connected_comes_before_retained_messages_which_are_marked(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        async with other(broker.port) as host:
            await host.publish("fenced/v1/lab/presence/node-1", b"online", qos=1, retain=True)
            await host.publish("fenced/v1/lab/health/node-1", b"{}", qos=1, retain=True)
        async with running(settings(broker.port)) as bus:
            await until(lambda: len(bus.events) >= 3)
    assert isinstance(bus.events[0], BusConnected)
    assert bus.of(Presence)[0].is_retained
    assert bus.of(Health)[0].is_retained


async def test_dropped_messages_are_counted_and_logged_rarely(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as host:
        with capture_logs() as logs:
            for number in range(20):
                await host.publish("fenced/v1/lab/health/node-1", b'["interval",-1,"%d"]' % number, qos=1)
            await host.publish("fenced/v1/lab/health/node-1", b"x" * (64 * 1024 + 1), qos=1)
            await host.publish("fenced/v1/lab/presence/node-9", b"online", qos=1)
            await host.publish("fenced/v1/lab/request/node-1", b"{}", qos=1)
            await host.publish("fenced/v1/lab/health/node-2", b"{}", qos=1)
            await until(lambda: bool(bus.of(Health)))
        await bus.counted(MessageKind.HEALTH, MessageResult.MALFORMED, 20)
        await bus.counted(MessageKind.HEALTH, MessageResult.OVERSIZED)
        await bus.counted(MessageKind.PRESENCE, MessageResult.UNKNOWN_HOST)
        await bus.counted(MessageKind.REQUEST, MessageResult.MALFORMED)
    assert [event.host for event in bus.of(Health)] == ["node-2"]
    logged = [entry["result"] for entry in logs if entry["event"] == "bus_message_dropped"]
    assert sorted(logged) == ["malformed", "oversized", "unknown_host"]
    first = next(entry for entry in logs if entry["result"] == "malformed")
    assert (first["topic"], first["log_level"]) == ("fenced/v1/lab/health/node-1", "warning")
    assert "JSON object" in first["reason"]


async def test_only_a_heartbeat_under_an_unknown_name_is_a_stranger(tmp_path: Path) -> None:
    """Other kinds of messages are not, nor is a retained one of an old name."""
    names: list[str] = []
    async with mosquitto(tmp_path) as broker, other(broker.port) as program:
        for kind in ("health", "presence"):
            await program.publish(f"fenced/v1/lab/{kind}/OLD-1", b"{}", retain=True, qos=1)
        async with running(settings(broker.port), on_stranger=names.append) as bus:
            for number, topic in enumerate(
                ("presence/NODE-1", "evidence/NODE-2/disk", "request/NODE-3", "health/NODE-4")
            ):
                await program.publish(f"fenced/v1/lab/{topic}", f"{number}", qos=1)
            await program.publish("fenced/v1/lab/health/node-1", b"", qos=1)
            await until(lambda: bool(bus.of(Health)))
        assert names == ["NODE-4"]


async def test_a_request_carries_its_reply_topic(tmp_path: Path) -> None:
    body = {"id": "r-1", "action": "off", "reason": "test", "by": "somebody", "at": "2026-11-22T08:00:00Z"}
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as program:
        await program.subscribe("answers/mine", qos=1)
        asked = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        asked.ResponseTopic = "answers/mine"
        asked.CorrelationData = b"\x00\x01"
        await program.publish("fenced/v1/lab/request/node-1", json.dumps(body), qos=1, properties=asked)
        await until(lambda: bool(bus.of(BusRequest)))
        request = bus.of(BusRequest)[0]
        assert (request.id, request.action, request.by, request.sent_at) == ("r-1", "off", "somebody", 1795334400.0)
        assert (request.reply_topic, request.correlation) == ("answers/mine", b"\x00\x01")
        assert request.reply_topic is not None
        answer = Message(topic=request.reply_topic, payload=b"{}", is_retained=False, correlation=request.correlation)
        await bus.client.publish(answer, timeout_seconds=5)
        got = await anext(program.messages)
        assert (got.payload, got.properties.CorrelationData) == (b"{}", b"\x00\x01")  # type: ignore[union-attr]


async def test_a_request_can_not_make_the_daemon_announce(tmp_path: Path) -> None:
    body = {"id": "r-1", "action": "off", "reason": "test", "by": "somebody", "at": 1795334400}
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as program:
        asked = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        asked.ResponseTopic = "fenced/v1/lab/state/node-2"
        await program.publish("fenced/v1/lab/request/node-1", json.dumps(body), qos=1, properties=asked)
        await bus.counted(MessageKind.REQUEST, MessageResult.MALFORMED)
    assert not bus.of(BusRequest)


async def test_many_publishes_at_once(tmp_path: Path) -> None:
    # Mosquitto's default receive maximum is 20; with more unacknowledged messages it ends the connection.
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as reader:
        await reader.subscribe("fenced/v1/lab/event/+", qos=0)
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                sent = message(payload=b"%d" % number)
                group.create_task(bus.client.publish(sent, timeout_seconds=20), name=f"publish-{number}")
        got = [int((await anext(reader.messages)).payload) for _ in range(1000)]
    assert got == list(range(1000))
    assert len(bus.of(BusConnected)) == 1


async def test_a_refused_publish_is_an_error_and_the_connection_goes_on(tmp_path: Path) -> None:
    access = tmp_path / "acl"
    access.write_text("topic read fenced/v1/lab/#\ntopic write fenced/v1/lab/event/node-1\n")
    async with (
        mosquitto(tmp_path, more=f"allow_anonymous true\nacl_file {access}") as broker,
        running(settings(broker.port)) as bus,
    ):
        await bus.client.publish(message(), timeout_seconds=5)
        with pytest.raises(BusError, match=r"refused fenced/v1/lab/state/node-1: Not authorized"):
            await bus.client.publish(message("fenced/v1/lab/state/node-1"), timeout_seconds=5)
        await bus.client.publish(message(), timeout_seconds=5)
        assert bus.client.is_connected


async def test_a_message_that_can_not_be_published_is_an_error(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
        with pytest.raises(BusError, match=r"with/\+/wildcard"):
            await bus.client.publish(message("with/+/wildcard"), timeout_seconds=5)
        await bus.client.publish(message(), timeout_seconds=5)
    with pytest.raises(BusError, match="not connected"):
        await bus.client.publish(message(), timeout_seconds=5)


async def test_it_reconnects_after_a_restart_of_the_broker(tmp_path: Path) -> None:
    with heard() as complaints:
        async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
            for time_around in (1, 2):
                broker.stop(is_killed=time_around == 1)
                assert (await bus.lost()).why
                with pytest.raises(BusError):
                    await bus.client.publish(message(), timeout_seconds=5)
                await broker.start()
                await bus.connected(time_around + 1)
                await bus.client.publish(message(), timeout_seconds=5)
            kinds = [type(event) for event in bus.events]
        assert kinds == [BusConnected, BusDisconnected, BusConnected, BusDisconnected, BusConnected]
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints


async def test_publishes_in_flight_end_with_the_connection(tmp_path: Path) -> None:
    with heard() as complaints:
        async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
            broker.process.send_signal(signal.SIGSTOP)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(failure_of(bus.client.publish(message(), timeout_seconds=30)), name=f"p-{number}")
                    for number in range(300)
                ]
                await asyncio.sleep(0)
                started = time.monotonic()
                broker.stop(is_killed=True)
            assert all("connection" in task.result() for task in tasks)
            assert time.monotonic() - started < 25, "they waited for their own timeout"
            assert not bus.client.is_connected
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints


async def failure_of(publish: "asyncio.Future[None] | object") -> str:
    try:
        await publish  # type: ignore[misc]  # a coroutine
    except BusError as exc:
        return str(exc)
    return ""


async def test_a_frozen_broker_fails_publishes_in_time_and_is_detected(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port, keepalive_seconds=1)) as bus:
        broker.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BusError, match=r"not acknowledged within 0.1 s"):
                await bus.client.publish(message(), timeout_seconds=0.1)
            assert "keepalive" in (await bus.lost()).why
        finally:
            broker.process.send_signal(signal.SIGCONT)
        await bus.connected(2)


async def test_a_broker_that_does_not_acknowledge_is_left(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port, publishes_max=4)) as bus:
        broker.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(2):
                with pytest.raises(BusError):
                    await bus.client.publish(message(), timeout_seconds=0.05)
            assert "does not acknowledge" in (await bus.lost()).why
        finally:
            broker.process.send_signal(signal.SIGCONT)
        await bus.connected(2)


async def test_the_will_is_published_after_a_loss_and_not_after_a_close(tmp_path: Path) -> None:
    topic = "fenced/v1/lab/controller/a"
    will = Message(topic=topic, payload=b"offline", is_retained=True)
    async with mosquitto(tmp_path) as broker, other(broker.port) as reader:
        await reader.subscribe(topic, qos=1)
        async with running(settings(broker.port), will=lambda: will) as bus:
            await bus.client.publish(Message(topic=topic, payload=b"active", is_retained=True), timeout_seconds=5)
            assert (await anext(reader.messages)).payload == b"active"
            async with other(broker.port, identifier="fenced-lab-a"):  # same name: the broker ends the first connection
                assert (await anext(reader.messages)).payload == b"offline"
            assert (await bus.lost()).why
            await bus.connected(2)
        await reader.publish(topic, b"end", qos=1)
        assert (await anext(reader.messages)).payload == b"end"


async def test_user_name_and_password(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    program = find("mosquitto_passwd")
    assert program is not None
    subprocess.run([program, "-c", "-b", str(passwords), "fenced", "s3cret"], check=True)
    passwords.chmod(0o600)
    more = f"allow_anonymous false\npassword_file {passwords}"
    async with mosquitto(tmp_path, more=more) as broker:
        async with running(settings(broker.port, username="fenced", password=Secret("s3cret"))) as bus:
            assert bus.client.is_connected
        with capture_logs() as logs:
            wrong = settings(broker.port, username="fenced", password=Secret("other"))
            async with running(wrong, is_awaited=False) as bus:
                await until(lambda: bool(logs))
                with pytest.raises(BusError, match="not connected"):
                    await bus.client.publish(message(), timeout_seconds=5)
            assert not bus.events
    assert (logs[0]["event"], logs[0]["log_level"]) == ("bus_unreachable", "warning")
    assert "Not authorized" in logs[0]["reason"]
    assert "other" not in str(logs)


async def test_an_exception_of_deliver_ends_the_run(tmp_path: Path) -> None:
    class Bug(Exception):
        pass

    def deliver(event: BusEvent) -> None:
        if isinstance(event, Health):
            raise Bug

    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as host:
        run = asyncio.gather(bus.client.run(deliver), return_exceptions=True)
        await bus.lost()  # the second run took over the first one's name at the broker
        while not run.done():
            await host.publish("fenced/v1/lab/health/node-1", b"{}", qos=1)
            await asyncio.sleep(0)
        assert isinstance((await run)[0], Bug)


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Connecting threads can't be cancelled, so the test waits for them, however long that takes."""

    async def rounds() -> None:
        for _ in range(3):
            async with running(settings(broker.port)):
                pass
            async with running(settings(broker.port), is_awaited=False):  # cancelled while connecting
                await asyncio.sleep(0)

    async with mosquitto(tmp_path) as broker:
        await asyncio.sleep(0)  # lets the connection that saw the broker listen close
        before = len(os.listdir("/proc/self/fd")), asyncio.all_tasks()
        await rounds()
        await asyncio.get_running_loop().shutdown_default_executor()
        for _ in range(3):  # run what the threads handed to the loop
            await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before[0]
        assert asyncio.all_tasks() == before[1]


async def test_unreachable_brokers(tmp_path: Path) -> None:
    async def reason(**changes: object) -> str:
        with capture_logs() as logs:
            async with running(settings(1, connect_timeout_seconds=1.0, **changes), is_awaited=False):
                await until(lambda: bool(logs))
        return str(logs[0]["reason"])

    assert "refused" in await reason()
    assert await reason(host="no-such-host.invalid")
    assert await reason(host="a" * 300)


async def test_a_server_that_is_not_a_broker() -> None:
    """A server that accepts and stays silent, or closes at once, is a failure within the timeout and leaves nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    with heard() as complaints:
        for kind in (silent, rude, babble):
            server = await asyncio.start_server(kind, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            with capture_logs() as logs:
                async with running(settings(port, connect_timeout_seconds=0.5), is_awaited=False):
                    await until(lambda logs=logs: bool(logs))
            assert logs[0]["event"] == "bus_unreachable"
            server.close()
            await server.wait_closed()
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints


async def test_a_cancellation_while_the_broker_does_not_answer() -> None:
    accepted = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        accepted.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    before = asyncio.all_tasks()
    with heard() as complaints:
        async with running(settings(server.sockets[0].getsockname()[1]), is_awaited=False):
            await accepted.wait()
        await until(lambda: asyncio.all_tasks() == before, what="the end of the server's side")
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints
    server.close()
    await server.wait_closed()
