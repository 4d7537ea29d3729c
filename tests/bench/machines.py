"""Hosts with addresses of their own in a network namespace: those that live answer at port 22, a dead one says nothing.

The namespace is reached over a router, as a network of hosts is. So nobody on this side can see that an address is
gone: the packets vanish on the way. Needs root.
"""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from tests.needs import find
from tests.net import free_port, until_listening

NETWORKS: Final = 255
HOSTS_MAX: Final = 247
"""Above them are the addresses of the router."""
PORT: Final = 22
COMMAND_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """`network`: that of all addresses."""

    space: str
    network: str
    addresses: tuple[str, ...]

    async def die(self, address: str) -> None:
        """From now on, whatever is sent there vanishes."""
        await _ip(f"-n {self.space} addr del {address}/32 dev lo")


@contextlib.asynccontextmanager
async def machines(count: int) -> AsyncIterator[Machines]:
    """Yield so many that live. A network is chosen by lot, and an error says if another run has the same one."""
    assert count <= HOSTS_MAX, f"at most {HOSTS_MAX} hosts"
    prefix = f"198.19.{secrets.randbelow(NETWORKS)}"
    near, router, network = f"{prefix}.249", f"{prefix}.250", f"{prefix}.0/24"
    addresses = tuple(f"{prefix}.{number + 1}" for number in range(count))
    space, inside, outside = f"fenced-bench-{free_port()}", f"i{free_port()}", f"o{free_port()}"
    try:
        await _ip(f"netns add {space}")
        await _ip(f"link add {outside} type veth peer name {inside} netns {space}")
        await _ip(f"addr add {near}/30 dev {outside}")
        await _ip(f"-n {space} addr add {router}/30 dev {inside}")
        await _ip(f"link set {outside} up")
        await _ip(f"-n {space} link set {inside} up")
        await _ip(f"-n {space} link set lo up")
        await _ip(f"-n {space} route add blackhole {network}")
        for address in addresses:
            await _ip(f"-n {space} addr add {address}/32 dev lo")
        await _ip(f"route add {network} via {router}")
        async with _listening(space, addresses[0]):
            yield Machines(space=space, network=network, addresses=addresses)
    finally:
        with contextlib.suppress(OSError):  # what was not made can't be removed
            await _ip(f"link delete {outside}")
        with contextlib.suppress(OSError):
            await _ip(f"netns delete {space}")


@contextlib.asynccontextmanager
async def _listening(space: str, address: str) -> AsyncIterator[None]:
    """Let port 22 accept at all addresses of the namespace."""
    process = await asyncio.create_subprocess_exec(
        _program(), "netns", "exec", space, sys.executable, "-m", "http.server", str(PORT), "--bind", "0.0.0.0",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until_listening(PORT, host=address)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ip(arguments: str) -> None:
    """Run one command of iproute2. Raises OSError with what it said."""
    process = await asyncio.create_subprocess_exec(
        _program(), *arguments.split(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(COMMAND_SECONDS):
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise OSError(f"ip {arguments}: {said.decode(errors='replace').strip()}")


def _program() -> str:
    found = find("ip")
    assert found is not None, "the row says that it needs ip"
    return found
