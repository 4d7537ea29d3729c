"""config/mosquitto.conf and .acl in a real Mosquitto.

A host publishes only for itself, only the daemon announces, and no client can take the name of another client.
"""

import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
from aiomqtt import ProtocolVersion

from fenced.bus.settings import BusSettings
from fenced.model.inventory import Secret
from fenced.ports.bus import BusDisconnected, Evidence, Health, Message
from tests.bus.parts import Running, running, settings
from tests.needs import find, needs
from tests.net import free_port, until, until_listening

pytestmark = [pytest.mark.integration, needs("mosquitto", "mosquitto_passwd")]

CONFIG = Path(__file__).parents[2] / "config"
# Like Debian's mosquitto.conf, which includes the example: a setting in both files prevents the broker's start.
# Started as root it would become the user mosquitto, who can't read the test's folder.
DEBIAN = """
user root
pid_file {folder}/mosquitto.pid
persistence true
persistence_location {folder}/
log_dest file {folder}/mosquitto.log
include_dir {folder}/conf.d
"""
USERS = ("fenced", "recovery", "requester", "storage", "node-1-disk", "node-1", "node-2")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A broker with the example's files, except for paths and port."""
    passwords = tmp_path / "passwd"
    # mosquitto_passwd -U hashes the passwords of a file in place, so that they appear in no argument list.
    passwords.write_text("".join(f"{user}:secret\n" for user in USERS))
    tool = find("mosquitto_passwd")
    assert tool is not None
    subprocess.run([tool, "-U", str(passwords)], check=True, timeout=30)
    passwords.chmod(0o644)
    acl = tmp_path / "fenced.acl"
    acl.write_text((CONFIG / "mosquitto.acl").read_text())
    number = free_port()
    text = (CONFIG / "mosquitto.conf").read_text()
    for old, new in (
        ("/etc/mosquitto/passwd", str(passwords)),
        ("/etc/mosquitto/fenced.acl", str(acl)),
        ("listener 1883", f"listener {number}"),
    ):
        assert old in text
        text = text.replace(old, new)
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "fenced.conf").write_text(text)
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(DEBIAN.format(folder=tmp_path))
    program = find("mosquitto")
    assert program is not None
    log = (tmp_path / "log").open("wb")
    broker = subprocess.Popen([program, "-c", str(conf)], stdout=log, stderr=log)
    try:
        await until_listening(number)
        yield number
    finally:
        broker.terminate()
        broker.wait(timeout=20)
        log.close()


def connect(port: int, user: str) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, username=user, password="secret", protocol=ProtocolVersion.V5, timeout=10)


async def published(port: int, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what the daemon receives of it, because aiomqtt shows a publisher no refusal."""
    prefix, last = "fenced/v1/site-1/", "event/last"
    async with connect(port, "fenced") as daemon:
        await daemon.subscribe("fenced/v1/#", qos=1)
        for user, topic in said:
            # One account is one client: a second one with the daemon's account would disconnect the first.
            async with contextlib.nullcontext(daemon) if user == "fenced" else connect(port, user) as client:
                await client.publish(prefix + topic, user, qos=1)
        await daemon.publish(prefix + last, b"", qos=1)
        heard = []
        async for message in daemon.messages:
            topic = message.topic.value.removeprefix(prefix)
            if topic == last:
                break
            assert isinstance(message.payload, bytes)
            heard.append((message.payload.decode(), topic))
        return heard


OWN = [
    ("node-1", "health/node-1"),
    ("node-1", "presence/node-1"),
    ("node-1-disk", "evidence/node-1/disk"),
    ("storage", "evidence/node-1/storage"),
    ("storage", "evidence/node-2/storage"),
    ("fenced", "event"),
    ("fenced", "event/node-1"),
    ("fenced", "state/node-1"),
    ("fenced", "controller/fenced-a"),
    ("fenced", "reply/17"),
    ("fenced", "command/node-1"),
    ("node-1", "evidence/node-1/beat"),
    ("fenced", "info"),
    ("requester", "request"),
    ("requester", "request/node-1"),
]
FOREIGN = [
    ("node-1", "health/node-2"),
    ("node-1", "presence/node-2"),
    ("node-1", "evidence/node-1/disk"),
    ("node-1", "evidence/node-2/node-1"),
    ("node-1-disk", "evidence/node-2/disk"),
    ("node-1-disk", "evidence/node-1/storage"),
    ("node-1-disk", "health/node-1"),
    ("storage", "evidence/node-1/disk"),
    ("storage", "health/node-1"),
    ("node-1", "health/node-1/x"),
    ("node-1", "state/node-1"),
    ("node-1", "event/node-1"),
    ("node-1", "event"),
    ("node-1", "info"),
    ("node-1", "controller/node-1"),
    ("node-1", "evidence/node-2/beat"),
    ("node-1", "command/node-1"),
    ("node-1", "command/node-2"),
    ("recovery", "command/node-1"),
    ("requester", "command/node-1"),
    ("storage", "command/node-1"),
    ("node-1", "request"),
    ("node-1", "evidence/node-2/beat"),
    ("recovery", "command/node-1"),
    ("storage", "command/node-1"),
    ("node-1", "request/node-2"),
    ("node-1", "request/node-1"),
    ("fenced", "health/node-1"),
    ("fenced", "request/node-1"),
    ("recovery", "request/node-1"),
    ("recovery", "state/node-1"),
    ("recovery", "info"),
    ("requester", "health/node-1"),
]


async def test_each_account_may_publish_for_itself_alone(port: int) -> None:
    assert await published(port, OWN + FOREIGN) == OWN


async def test_a_stranger_is_not_let_in(port: int) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", port, protocol=ProtocolVersion.V5, timeout=10):
            pass


async def test_the_daemon_hears_every_host_and_recovery_hears_the_daemon(port: int) -> None:
    async with (
        connect(port, "fenced") as daemon,
        connect(port, "recovery") as recovery,
        connect(port, "node-2") as node,
    ):
        await daemon.subscribe("fenced/v1/site-1/health/+", qos=1)
        await recovery.subscribe("fenced/v1/site-1/event/+", qos=1)
        await node.subscribe("fenced/v1/#", qos=1)
        await node.publish("fenced/v1/site-1/health/node-2", b"", qos=1)
        heard = await anext(aiter(daemon.messages))
        assert heard.topic.value == "fenced/v1/site-1/health/node-2"
        await daemon.publish("fenced/v1/site-1/event/node-2", b"{}", qos=1)
        heard = await anext(aiter(recovery.messages))
        assert heard.topic.value == "fenced/v1/site-1/event/node-2"
        assert len(node.messages) == 0


async def test_a_host_reads_its_own_orders_alone(port: int) -> None:
    async with connect(port, "fenced") as daemon, connect(port, "node-1") as own, connect(port, "node-2") as other:
        for node in (own, other):
            await node.subscribe("fenced/v1/site-1/#", qos=1)
        await daemon.publish("fenced/v1/site-1/command/node-1", b"1", qos=1)
        await daemon.publish("fenced/v1/site-1/command/node-2", b"2", qos=1)
        for node, payload in ((own, b"1"), (other, b"2")):
            assert (await anext(aiter(node.messages))).payload == payload
        assert len(own.messages) == len(other.messages) == 0


def as_(port: int, user: str, client_id: str, *, is_version_5: bool = True) -> BusSettings:
    return settings(
        port,
        site="site-1",
        client_id=client_id,
        username=user,
        password=Secret("secret"),
        is_version_5_tried=is_version_5,
    )


@pytest.mark.parametrize("version", [ProtocolVersion.V5, ProtocolVersion.V311])
@pytest.mark.parametrize("stolen", ["fenced-site-1-fenced-a", "fenced"])
async def test_no_account_takes_the_name_of_the_daemon(port: int, stolen: str, version: ProtocolVersion) -> None:
    """Daemon, beat and evidence sources with an account each; a client with another account disturbs none of them."""
    prefix = "fenced/v1/site-1/"
    alive = b'{"kind":"storage_lease","alive":true,"ttl":30}'
    async with (
        running(as_(port, "fenced", "fenced-site-1-fenced-a")) as daemon,
        running(as_(port, "node-1", "fenced-beat-site-1-node-1"), hosts=()) as beat,
        connect(port, "node-1-disk") as disk,
        connect(port, "storage") as storage,
    ):
        for _ in range(3):
            async with aiomqtt.Client(
                "127.0.0.1", port, username="node-2", password="secret", identifier=stolen, protocol=version, timeout=10
            ):
                pass
        health = Message(topic=prefix + "health/node-1", payload=b"", is_retained=False)
        await beat.client.publish(health, timeout_seconds=10)
        await disk.publish(prefix + "evidence/node-1/disk", alive, qos=1)
        await storage.publish(prefix + "evidence/node-1/storage", alive, qos=1)
        await until(lambda: len(daemon.of(Evidence)) == 2 and len(daemon.of(Health)) == 1, what="all are heard")
        assert not daemon.of(BusDisconnected)
        assert not beat.of(BusDisconnected)


@pytest.mark.parametrize("is_version_5", [True, False])
async def test_two_daemons_of_one_account_say_so(port: int, is_version_5: bool) -> None:
    """The remaining case: two daemons use one account. This Mosquitto only hangs up."""
    ids = ("fenced-site-1-fenced-a", "fenced-site-1-fenced-b")
    async with (
        running(as_(port, "fenced", ids[0], is_version_5=is_version_5)) as first,
        running(as_(port, "fenced", ids[1], is_version_5=is_version_5), is_awaited=False) as second,
    ):
        for daemon, client_id in ((first, ids[0]), (second, ids[1])):

            def suspicion(daemon: Running = daemon) -> bool:
                return "use_username_as_clientid" in daemon.client.suspicion

            await until(suspicion, what="the suspicion")
            assert f"client id {client_id}" in daemon.client.suspicion
