"""The names and addresses of this machine, so that the daemon never switches itself (S18).

Uses the kernel and /etc/hosts, no name server. Loopback addresses are ignored: every machine has them.
"""

import functools
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.model.addresses import canonical, names_nobody, tells_machines_apart

_LINES_MAX: Final = 100_000
_LOCAL: Final = re.compile(r"\|-- (\S+)\s+/32 host LOCAL")


@dataclass(frozen=True, kw_only=True)
class OwnMachine:
    """`hostname`: the default of daemon.name. `names` and `addresses`: all that this machine has."""

    hostname: str = "fenced"
    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()

    def is_called(self, names: Iterable[str]) -> bool:
        """Whether any of these names or addresses is this machine. Ignores case, as DNS does."""
        own = self.canonical_names
        return any(canonical(name) in own and not names_nobody(name) for name in names)

    @functools.cached_property
    def canonical_names(self) -> frozenset[str]:
        """All names and addresses of this machine, in canonical spelling."""
        own = (self.hostname, *self.names, *self.addresses)
        return frozenset(canonical(name) for name in own if name and not names_nobody(name))


def this_machine(etc_hosts: Path = Path("/etc/hosts"), proc: Path = Path("/proc")) -> OwnMachine:
    """Return this machine: the kernel's name and addresses, and their names in /etc/hosts."""
    hostname = socket.gethostname()
    addresses = frozenset(address for address in _kernel_addresses(proc) if tells_machines_apart(address))
    names = {hostname, *_names_in(etc_hosts, hostname, addresses)}
    return OwnMachine(
        hostname=hostname,
        names=frozenset(name for name in names if not names_nobody(name)),
        addresses=addresses,
    )


def _kernel_addresses(proc: Path) -> Iterable[str]:
    """Yield local addresses: fib_trie for IPv4 (a leaf line, then its "/32 host LOCAL"), if_inet6 for IPv6."""
    trie = re.sub(r"\n\s+(?=/32 host LOCAL)", " ", _read(proc / "net/fib_trie"))
    yield from _LOCAL.findall(trie)
    for line in _read(proc / "net/if_inet6").splitlines():
        digits = line.partition(" ")[0]
        if len(digits) == 32:
            yield str(ipaddress.IPv6Address(bytes.fromhex(digits)))


def _names_in(etc_hosts: Path, hostname: str, addresses: frozenset[str]) -> Iterable[str]:
    """Yield the names in lines of /etc/hosts with one of these addresses or the host name (Debian: 127.0.1.1 FQDN)."""
    for line in _read(etc_hosts).splitlines()[:_LINES_MAX]:
        address, *names = line.partition("#")[0].split() or [""]
        if address in addresses or hostname in names:
            yield from names


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
