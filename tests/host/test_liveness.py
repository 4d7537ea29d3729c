"""Liveness probes on real sockets: what counts as an answer and what does not."""

import asyncio
import errno
import os
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest

from fenced.core.heard.looks import Saw, Target
from fenced.host.liveness import TcpLiveness
from fenced.host.resolving import LOOKUPS_MAX
from fenced.ports.liveness import Question, Seen, endpoint
from tests.needs import needs, needs_root
from tests.net import free_port


@asynccontextmanager
async def listening(
    *, host: str = "127.0.0.1", banner: bytes = b"", touched: list[object] | None = None, port: int = 0
) -> AsyncIterator[int]:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if touched is not None:
            touched.append(writer.get_extra_info("peername"))
        writer.write(banner)
        writer.close()

    server = await asyncio.start_server(accepted, host, port or free_port())
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def hanging() -> AsyncIterator[int]:
    """Yield the port of a program that hangs: its kernel accepts, and nobody says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


@contextmanager
def full(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port with a full backlog: the kernel stays silent, like a host that is gone."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind((host, port or free_port()))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def own_address() -> str:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("no network here")
        return str(asking.getsockname()[0])


def question(
    address: str = "127.0.0.1",
    *ports: int,
    agents: tuple[tuple[str, int], ...] = (),
    seconds: float = 5.0,
    controls: tuple[str, ...] = (),
) -> Question:
    target = Target(network="", address=address, controls=controls)
    return Question(targets=(target,), ports=ports, agents=agents, timeout_seconds=seconds)


async def look(
    address: str,
    *ports: int,
    agents: tuple[tuple[str, int], ...] = (),
    seconds: float = 5.0,
    controls: tuple[str, ...] = (),
) -> Seen:
    asked = question(address, *ports, agents=agents, seconds=seconds, controls=controls)
    (seen,) = await TcpLiveness().look(asked)
    return seen


async def answered(address: str, *ports: int, agents: tuple[tuple[str, int], ...] = (), seconds: float = 5.0) -> str:
    seen = await look(address, *ports, agents=agents, seconds=seconds)
    assert seen.saw is Saw.ALIVE and seen.milliseconds is not None and seen.milliseconds < 5000
    return seen.answered


async def saw(address: str, *ports: int, agents: tuple[tuple[str, int], ...] = (), seconds: float = 5.0) -> Saw:
    return (await look(address, *ports, agents=agents, seconds=seconds)).saw


async def test_a_port_that_accepts_is_an_answer() -> None:
    async with listening() as port:
        assert await answered("127.0.0.1", port) == f"tcp {port}"
        assert await answered("localhost", port) == f"tcp {port}"


async def test_an_agent_that_accepts_is_an_answer() -> None:
    async with listening() as port:
        agents = (("127.0.0.1", port),)
        assert await answered("", agents=agents) == f"proxy 127.0.0.1:{port}"
        assert await answered("127.0.0.1", free_port(), agents=agents) == f"proxy 127.0.0.1:{port}"


async def test_the_banner_of_ssh_is_told_and_its_absence_is_life_all_the_same() -> None:
    """An sshd that hangs proves a living kernel; it must not be taken for a dead host."""
    async with listening(banner=b"SSH-2.0-OpenSSH_9.2p1\r\n\x1b[2J") as port:
        seen = await look("127.0.0.1", port)
        assert (seen.saw, seen.why) == (Saw.ALIVE, f"tcp {port} accepted: SSH-2.0-OpenSSH_9.2p1")
    async with hanging() as port:
        started = time.monotonic()
        seen = await look("127.0.0.1", port, seconds=60)
        assert (seen.saw, seen.why) == (Saw.ALIVE, f"tcp {port} accepted")
        assert time.monotonic() - started < 30, "it waited for the banner until the end"


async def test_on_loopback_a_refusal_is_no_answer() -> None:
    assert await saw("127.0.0.1", free_port()) is Saw.SILENT
    assert await saw("127.77.0.1", free_port()) is Saw.SILENT
    assert await saw("localhost", free_port()) is Saw.SILENT


async def test_silence_is_no_answer_and_ends_in_time() -> None:
    with full() as port:
        started = time.monotonic()
        assert await saw("127.0.0.1", port, free_port(), seconds=0.2) is Saw.SILENT
        assert time.monotonic() - started < 30, "it waited for the kernel's timeout of two minutes"


async def test_the_first_answer_ends_the_probe() -> None:
    async with listening() as port:
        with full() as silent:
            started = time.monotonic()
            assert await answered("127.0.0.1", silent, port, seconds=60) == f"tcp {port}"
            assert time.monotonic() - started < 30


async def test_without_a_port_nothing_is_known() -> None:
    assert await saw("127.0.0.1") is Saw.UNKNOWN
    assert await saw("", 22) is Saw.UNKNOWN
    assert await saw("a" * 300, 22) is Saw.UNKNOWN
    assert [endpoint(url) for url in ("", "https://", "https://[::1", "https://a:999999")] == [None] * 4
    assert [endpoint(url) for url in ("https://a", "http://a/x", "https://[::1]:8471")] == [
        ("a", 443), ("a", 80), ("::1", 8471),
    ]  # fmt: skip


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_a_name_without_an_address_proves_nothing(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "raised by the test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    seen = await look("node-1.invalid", 22, seconds=1)
    assert seen.saw is Saw.UNKNOWN and "node-1.invalid" in seen.why


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENETUNREACH, errno.EPERM, errno.EADDRNOTAVAIL])
async def test_a_probe_that_can_not_be_sent_is_not_silence(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hindered(*_: object) -> None:
        raise OSError(number, f"error {number}")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hindered)
    seen = await look("127.0.0.1", 22, seconds=0.2)
    assert (seen.saw, seen.why) == (Saw.UNKNOWN, f"{os.strerror(number)} (127.0.0.1)")


async def test_one_port_that_was_not_asked_makes_silence_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    with full() as first, full() as second:

        async def hindered(sock: socket.socket, where: tuple[str, int]) -> None:
            if where[1] == second:
                raise OSError(errno.EMFILE, "Too many open files")
            await connect(sock, where)

        monkeypatch.setattr(loop, "sock_connect", hindered)
        assert await saw("127.0.0.1", first, second, seconds=0.2) is Saw.UNKNOWN


async def test_many_hosts_at_once_each_get_their_full_timeout() -> None:
    liveness = TcpLiveness(looks_max=5)
    async with listening() as port:
        with full() as silent:
            questions = [liveness.look(question("127.0.0.1", silent, seconds=0.1)) for _ in range(20)]
            questions += [liveness.look(question("127.0.0.1", port, seconds=0.1)) for _ in range(200)]
            answers = await asyncio.gather(*questions)
    assert [seen.saw for (seen,) in answers] == [Saw.SILENT] * 20 + [Saw.ALIVE] * 200


async def test_each_target_is_looked_at_by_itself() -> None:
    async with listening(host="127.0.0.2") as port:
        targets = tuple(Target(network=name, address=f"127.0.0.{number}") for name, number in (("", 1), ("storage", 2)))
        seen = await TcpLiveness().look(Question(targets=targets, ports=(port,), timeout_seconds=5))
    assert [(each.network, each.saw) for each in seen] == [("", Saw.SILENT), ("storage", Saw.ALIVE)]


# -- controls ---------------------------------------------------------------------------------------------------------


async def test_a_control_that_answers_is_named_and_others_are_not_waited_for() -> None:
    async with listening(host="127.0.0.2") as port:
        with full("127.0.0.1", port), full("127.0.0.3", port):
            seen = await look("127.0.0.1", port, seconds=0.3, controls=("127.0.0.3", "127.0.0.2"))
    assert (seen.saw, seen.control) == (Saw.SILENT, "127.0.0.2")


async def test_without_a_control_silence_says_so() -> None:
    with full("127.0.0.1") as port, full("127.0.0.3", port):
        seen = await look("127.0.0.1", port, seconds=0.3, controls=("127.0.0.3", "127.0.0.4"))
        assert (seen.saw, seen.control) == (Saw.SILENT, "")
        assert "no control answered" in seen.why
        seen = await look("127.0.0.1", port, seconds=0.3)
        assert "there is no control on this network" in seen.why


async def test_whether_silence_would_count_is_learnt_from_a_host_that_answers() -> None:
    async with listening(host="127.0.0.2") as port, listening(host="127.0.0.1", port=port):
        with full("127.0.0.3", port):
            asked = question("127.0.0.1", port, controls=("127.0.0.3", "127.0.0.2"))
            (plain,) = await TcpLiveness().look(asked)
            assert (plain.saw, plain.control, plain.control_fault) == (Saw.ALIVE, "", "")
            (seen,) = await TcpLiveness().look(replace(asked, needs_control=True))
            assert (seen.saw, seen.control, seen.control_fault) == (Saw.ALIVE, "127.0.0.2", "")
            alone = question("127.0.0.1", port, controls=("127.0.0.3",))
            (seen,) = await TcpLiveness().look(replace(alone, needs_control=True))
    assert (seen.saw, seen.control) == (Saw.ALIVE, "")
    assert seen.control_fault == "no control answered (127.0.0.3: no answer within a second)"


async def test_a_control_that_answers_later_than_a_second_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network may have been down while the target was probed."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    async with listening(host="127.0.0.2") as port:
        with full("127.0.0.1", port):

            async def late(sock: socket.socket, where: tuple[str, int]) -> None:
                if where[0] == "127.0.0.2":
                    await asyncio.sleep(1.3)
                await connect(sock, where)

            monkeypatch.setattr(loop, "sock_connect", late)
            seen = await look("127.0.0.1", port, seconds=1.8, controls=("127.0.0.2",))
    assert (seen.saw, seen.control) == (Saw.SILENT, "") and "within a second" in seen.why


async def test_a_control_that_is_this_machine_proves_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_address()
    async with listening(host=own) as port:
        with full("127.0.0.1", port):
            seen = await look("127.0.0.1", port, seconds=0.3, controls=(own,))
    assert (seen.saw, seen.control) == (Saw.SILENT, "") and "it is this machine" in seen.why


async def test_a_loopback_address_is_no_control_of_another_machine() -> None:
    """On Debian a machine's own name is one: it answers however dead the network is."""
    async with listening(host="127.0.1.1") as port:
        seen = await look("192.0.2.77", port, seconds=0.3, controls=("127.0.1.1",))
    assert seen.control == "" and seen.saw is not Saw.ALIVE


async def test_a_control_needs_no_answer_once_the_target_lives() -> None:
    async with listening(host="127.0.0.1") as port:
        with full("127.0.0.3", port):
            started = time.monotonic()
            seen = await look("127.0.0.1", port, seconds=60, controls=("127.0.0.3", "nowhere.invalid"))
    assert seen.saw is Saw.ALIVE and time.monotonic() - started < 0.9


# -- what may be looked at --------------------------------------------------------------------------------------------


async def test_what_may_not_be_looked_at_is_not_touched_and_is_unknown() -> None:
    touched: list[object] = []
    async with listening(touched=touched) as port:

        def why_not(address: str, asked: int) -> str | None:
            return f"{address} port {asked} is not for you"

        (seen,) = await TcpLiveness().look(question("localhost", port, controls=("127.0.0.1",)), why_not=why_not)
        assert (seen.saw, touched) == (Saw.UNKNOWN, []) and f"port {port} is not for you" in seen.why


async def test_a_control_that_may_not_be_looked_at_is_not_touched() -> None:
    touched: list[object] = []
    async with listening(host="127.0.0.2", touched=touched) as port:
        with full("127.0.0.1", port):

            def why_not(address: str, _: int) -> str | None:
                return None if address == "127.0.0.1" else "not for you"

            asked = question("127.0.0.1", port, seconds=0.3, controls=("127.0.0.2",))
            (seen,) = await TcpLiveness().look(asked, why_not=why_not)
            assert (seen.saw, seen.control, touched) == (Saw.SILENT, "", []) and "not for you" in seen.why


async def test_one_address_of_a_name_that_may_not_be_looked_at_makes_silence_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lookup(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, 0, 0, "", (f"127.0.0.{number}", port)) for number in (1, 2)]

    def why_not(address: str, _: int) -> str | None:
        return None if address == "127.0.0.1" else "not for you"

    with full("127.0.0.1") as port:
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        (seen,) = await TcpLiveness().look(question("node-1", port, seconds=0.3), why_not=why_not)
    assert (seen.saw, seen.why) == (Saw.UNKNOWN, "not for you")


async def test_an_agent_that_may_not_be_asked_costs_no_vote() -> None:
    with full() as port:

        def why_not(_: str, asked: int) -> str | None:
            return None if asked == port else "8471 is not for you"

        asked = question("127.0.0.1", port, seconds=0.2, agents=(("127.0.0.1", 8471),))
        (seen,) = await TcpLiveness().look(asked, why_not=why_not)
    assert seen.saw is Saw.SILENT and "8471 is not for you" in seen.why


@needs("ip")
@needs_root()
async def test_a_refusal_of_another_machine_is_an_answer() -> None:
    """A network namespace plays another machine: its kernel refuses, and is silent once its link is down."""
    space = f"fenced-liveness-{free_port()}"
    inside, outside = f"i{free_port()}", f"o{free_port()}"
    commands = [
        f"ip netns add {space}",
        f"ip link add {outside} type veth peer name {inside} netns {space}",
        f"ip addr add 198.18.7.1/29 dev {outside}",
        f"ip -n {space} addr add 198.18.7.2/29 dev {inside}",
        f"ip link set {outside} up",
        f"ip -n {space} link set {inside} up",
    ]
    try:
        for command in commands:
            if subprocess.run(command.split(), capture_output=True, check=False).returncode != 0:
                pytest.skip(f"no network namespaces here: {command}")
        seen = await look("198.18.7.2", 22, seconds=5)
        assert (seen.saw, seen.why) == (Saw.ALIVE, "tcp 22 refused: its kernel answers")
        controlled = await look("198.18.7.3", 22, seconds=0.5, controls=("198.18.7.1", "198.18.7.2"))
        assert controlled.control == "198.18.7.2", "a refusal is an answer of a control, too"
        subprocess.run(f"ip -n {space} link set {inside} down".split(), check=True)
        seen = await look("198.18.7.2", 22, seconds=0.5, controls=("198.18.7.1",))
        assert (seen.saw, seen.control) == (Saw.SILENT, "")
    finally:
        subprocess.run(f"ip link delete {outside}".split(), capture_output=True, check=False)
        subprocess.run(f"ip netns delete {space}".split(), capture_output=True, check=False)


async def test_lookups_that_hang_hold_up_neither_other_threads_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power command's own work in asyncio's threads must not wait for a dead resolver (S15)."""
    over, hung = threading.Event(), list[str]()

    def lookup(host: str, *_: object, **__: object) -> None:
        hung.append(host)
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "raised by the test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    liveness = TcpLiveness()
    asked = [liveness.look(question(f"node-{number}.invalid", 22, seconds=0.3)) for number in range(LOOKUPS_MAX * 2)]
    try:
        found = await asyncio.gather(*asked)
        assert {seen.saw for (seen,) in found} == {Saw.UNKNOWN} and len(hung) == LOOKUPS_MAX
        async with asyncio.timeout(10):
            await asyncio.to_thread(int)
        started = time.monotonic()
        (seen,) = await liveness.look(question("127.0.0.1", free_port(), seconds=5))
        assert seen.saw is Saw.SILENT and time.monotonic() - started < 3, "addresses need no lookup"
    finally:
        over.set()
