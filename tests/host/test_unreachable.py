"""What other machines say of a host that does not answer: a router that finds nobody, forbids, or knows no way."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from fenced.core.heard.looks import Saw, Target
from fenced.host.liveness import TcpLiveness
from fenced.ports.liveness import Question, Seen
from tests.needs import needs, needs_root
from tests.net import free_port

pytestmark = [needs("ip"), needs_root(), pytest.mark.integration]
ROUTER = "198.18.8.2"


async def look(address: str, *, seconds: float = 1.5, control: str = ROUTER) -> Seen:
    target = Target(network="", address=address, controls=(control,))
    (seen,) = await TcpLiveness().look(Question(targets=(target,), ports=(22,), timeout_seconds=seconds))
    return seen


@pytest.fixture(scope="module")
def router() -> Iterator[str]:
    """Yield the name of a network namespace that is a router to 198.18.9.0/24, with a route of each kind."""
    space, inside, outside = f"fenced-router-{free_port()}", f"i{free_port()}", f"o{free_port()}"
    commands = [
        f"ip netns add {space}",
        f"ip link add {outside} type veth peer name {inside} netns {space}",
        f"ip addr add 198.18.8.1/30 dev {outside}",
        f"ip -n {space} addr add {ROUTER}/30 dev {inside}",
        f"ip link set {outside} up",
        f"ip -n {space} link set {inside} up",
        f"ip -n {space} link set lo up",
        f"ip netns exec {space} sh -c ip_forward",
        f"ip route add 198.18.9.0/24 via {ROUTER}",
        "ip route add blackhole 198.18.9.4/32",
        "ip route add unreachable 198.18.9.5/32",
        f"ip -n {space} route add unreachable 198.18.9.1/32",
        f"ip -n {space} route add prohibit 198.18.9.2/32",
        f"ip -n {space} route add blackhole 198.18.9.3/32",
        f"ip -n {space} addr add 198.18.9.6/32 dev lo",
    ]
    try:
        for command in commands:
            arguments = command.split()
            if arguments[-1] == "ip_forward":
                arguments[-1] = "echo 1 > /proc/sys/net/ipv4/ip_forward"
            if subprocess.run(arguments, capture_output=True, check=False).returncode != 0:
                pytest.skip(f"no network namespaces here: {command}")
        yield space
    finally:
        for command in (
            "ip route del blackhole 198.18.9.4/32", "ip route del unreachable 198.18.9.5/32",
            f"ip link delete {outside}", f"ip netns delete {space}",
        ):  # fmt: skip
            subprocess.run(command.split(), capture_output=True, check=False)


async def test_a_router_that_finds_nobody_is_silence_until_the_time_is_over(router: str) -> None:
    seen = await look("198.18.9.1")
    assert (seen.saw, seen.control) == (Saw.SILENT, ROUTER) and f"{ROUTER}: nobody is there" in seen.why


@pytest.mark.parametrize("number", [2, 4, 5], ids=["prohibit", "own blackhole", "own unreachable"])
async def test_what_is_about_the_way_is_no_silence(router: str, number: int) -> None:
    seen = await look(f"198.18.9.{number}", seconds=10)  # kernels send few such messages a second
    assert seen.saw is Saw.UNKNOWN


async def test_a_packet_that_vanishes_on_the_way_is_silence(router: str) -> None:
    """Nobody can tell that from a dead host: other observers and the gates about many hosts must."""
    assert (await look("198.18.9.3")).saw is Saw.SILENT


async def test_a_route_that_comes_back_shows_the_living_host(router: str) -> None:
    async def mend() -> None:
        await asyncio.sleep(0.7)
        subprocess.run(f"ip -n {router} addr add 198.18.9.7/32 dev lo".split(), check=True)

    subprocess.run(f"ip -n {router} route add unreachable 198.18.9.7/32".split(), check=True)
    mending = asyncio.create_task(mend())
    seen = await look("198.18.9.7", seconds=20)
    await mending
    assert (seen.saw, seen.why) == (Saw.ALIVE, "tcp 22 refused: its kernel answers")
