"""Observers of a fleet of the bench: real proxies over mutual TLS that look at hosts which have addresses."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.ground import Ground
from tests.bench.machines import PORT, Machines
from tests.e2e.proxies import client_table, make_certificates, proxy
from tests.net import free_port, until

Json = dict[str, Any]

RACK: Final = "rack-of-hosts"
READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Those of one fleet. `domains`: a proxy's name -> its failure domain."""

    machines: Machines
    addresses: Mapping[str, str]
    domains: Mapping[str, str]
    ports: Mapping[str, int]
    client: Json

    @property
    def about(self) -> dict[str, Json]:
        """Return further keys of each host."""
        return {host: {"address": address, "rack": RACK} for host, address in self.addresses.items()}

    @property
    def proxies(self) -> list[Json]:
        return [
            {"name": name, "url": f"https://127.0.0.1:{self.ports[name]}", "domain": domain}
            for name, domain in self.domains.items()
        ]

    async def ready(self, it: Ground) -> None:
        """Wait until the daemon knows that each of them looks."""
        wanted = [f'fenced_observers{{domain="{domain}",state="ready"}}' for domain in self.domains.values()]

        async def are_ready() -> bool:
            found = await it.api.metrics()
            return all(found.get(name) == 1 for name in wanted)

        await until(are_ready, seconds=READY_SECONDS, what="the proxies are observers")

    async def die(self, host: str) -> None:
        await self.machines.die(self.addresses[host])

    async def all_saw_silence(self, it: Ground) -> None:
        """Raise AssertionError unless the daemon itself and each proxy looked, and saw silence that counts."""
        found = await it.api.metrics()
        for name in ("engine", *self.domains):
            saw = {
                answer: found.get(f'fenced_looks_total{{answer="{answer}",observer="{name}"}}', 0)
                for answer in ("alive", "silent", "no_control", "unknown")
            }
            assert saw["silent"] > 0 and saw["alive"] == 0, f"{name} saw {saw}"


async def certificates(folder: Path, domains: Sequence[str]) -> Path:
    """Make those of one daemon and its proxies; other fleets may use the same ones."""
    return await make_certificates(folder, *_names(domains))


@contextlib.asynccontextmanager
async def observers(
    folder: Path, domains: Sequence[str], addresses: Mapping[str, str], *, certificates: Path, machines: Machines
) -> AsyncIterator[Observers]:
    """Run a proxy in each of these failure domains. It looks at the network of the hosts, and listens when the block
    begins."""
    folder.mkdir(parents=True)
    look = {"targets": [machines.network], "ports": [PORT]}
    ports = {name: free_port() for name in _names(domains)}
    async with contextlib.AsyncExitStack() as stack:
        for name, port in ports.items():
            await stack.enter_async_context(
                proxy(name, port, certificates=certificates, folder=folder, agents=folder, look=look)
            )
        yield Observers(
            machines=machines, addresses=addresses, domains=dict(zip(ports, domains, strict=True)), ports=ports,
            client=client_table(certificates),
        )  # fmt: skip


def _names(domains: Sequence[str]) -> list[str]:
    return [f"px{number}" for number in range(1, len(domains) + 1)]
