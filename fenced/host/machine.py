"""This machine: its names and addresses (S18), its boot, and the steady clock of ports.clock.

Knows no inventory. One rule: an address counts even while its interface is down, for it is ours all the same; that is
why the kernel is asked over rtnetlink, and not /proc/net or the resolver, which only show what is up.
"""

import contextlib
import ipaddress
import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.model.addresses import names_nobody, tells_machines_apart
from fenced.model.names import BootId
from fenced.ports.journal import ClockAnchor

BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
DUMP_TIMEOUT_SECONDS: Final = 5.0
DUMP_DATAGRAMS_MAX: Final = 4096

_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_RTM_GETADDR: Final = 22
_NLM_F_REQUEST_DUMP: Final = 0x301
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2


class MachineError(Exception):
    """The kernel did not say who this machine is; whoever asked must not act as if it knew (S18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that names this machine: host name, fully qualified name, addresses; nothing that many machines share."""

    hostname: str
    names: frozenset[str]
    addresses: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Names and addresses, as they are compared with Host.names."""
        return self.names | self.addresses


def own_machine() -> Machine:
    """Asks the kernel and, for the fully qualified name, the resolver, which may block: call it in a thread.

    Raises MachineError.
    """
    hostname = socket.gethostname()
    names = {hostname, _qualified(hostname)}
    try:
        addresses = _addresses()
    except (OSError, struct.error) as exc:
        raise MachineError(f"the kernel did not tell this machine's addresses: {exc}") from exc
    return Machine(
        hostname=hostname,
        names=frozenset(name for name in names if name and not names_nobody(name)),
        addresses=frozenset(address for address in addresses if tells_machines_apart(address)),
    )


def boot_id() -> BootId:
    """The kernel's id of this boot. Raises MachineError."""
    try:
        return BootId(BOOT_ID_FILE.read_text().strip())
    except OSError as exc:
        raise MachineError(f"no boot id: {exc}") from exc


def boottime() -> float:
    """Seconds since the boot; goes on in suspend, never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """ports.clock.Clock: seconds since the epoch, from `start` on by CLOCK_BOOTTIME."""

    def __init__(self, start: float) -> None:
        self._offset = start - boottime()

    def now(self) -> float:
        return boottime() + self._offset

    def ahead_seconds(self) -> float:
        """Of the wall clock: what people and programs elsewhere say of a moment is so much later for us. Negative: behind it.

        Not 0 where the wall clock was wrong at our first start, was set since, or was far ahead in an earlier boot.
        """
        return self.now() - time.time()


def anchor(*, wall_now: float, last_at: float | None, same_boot_offset: float | None) -> float:
    """Where a SteadyClock starts, so that time never goes back against the journal.

    `last_at`: the steady time that was last written, None for an empty journal. `same_boot_offset`: seconds that
    CLOCK_BOOTTIME has counted since then, None when the machine rebooted since (or nobody knows).
    """
    if last_at is None:
        return wall_now
    if same_boot_offset is not None and same_boot_offset >= 0:
        return last_at + same_boot_offset
    return max(wall_now, last_at)


def steady_start(
    *, wall_now: float, boot: str, boottime_now: float, kept: ClockAnchor | None, last_at: float | None
) -> float:
    """Where the steady clock of this start stands: `kept` is the journal's anchor, `last_at` the time of its newest record."""
    if kept is not None and kept.boot_id == boot:
        return anchor(wall_now=wall_now, last_at=kept.steady, same_boot_offset=boottime_now - kept.boottime)
    return anchor(wall_now=wall_now, last_at=last_at, same_boot_offset=None)


def _qualified(hostname: str) -> str:
    """The resolver's canonical name, or nothing. Its text may hold what a host name can't; it is only compared."""
    with contextlib.suppress(OSError, UnicodeError):
        for found in socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME):
            if found[3]:
                return found[3]
    return ""


def _addresses() -> set[str]:
    """All addresses of all interfaces (rtnetlink(7), RTM_GETADDR). Raises OSError, struct.error."""
    question = struct.pack("=LHHLL BBBBL", 24, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0, socket.AF_UNSPEC, 0, 0, 0, 0)
    found: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(DUMP_TIMEOUT_SECONDS)
        kernel.send(question)
        for _ in range(DUMP_DATAGRAMS_MAX):
            if _take(kernel.recv(65536), found):
                return found
    raise OSError("the dump of addresses does not end")


def _take(datagram: bytes, found: set[str]) -> bool:
    """Add a datagram's addresses; whether the dump ends with it."""
    at = 0
    while at + 16 <= len(datagram):
        length, kind = struct.unpack_from("=LH", datagram, at)
        if kind == _NLMSG_DONE:
            return True
        if kind == _NLMSG_ERROR or length < 16:
            code = -struct.unpack_from("=l", datagram, at + 16)[0]
            raise OSError(code, os.strerror(code))
        found.update(_attributes(datagram[at + 16 : at + length]))
        at += (length + 3) & ~3
    return False


def _attributes(message: bytes) -> list[str]:
    """The addresses in one ifaddrmsg: its own, and on a point-to-point link not that of the other end."""
    by_kind: dict[int, str] = {}
    at = 8
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4:
            break
        value = message[at + 4 : at + length]
        if kind in (_IFA_ADDRESS, _IFA_LOCAL) and len(value) in (4, 16):
            by_kind[kind] = str(ipaddress.ip_address(value))
        at += (length + 3) & ~3
    own = by_kind.get(_IFA_LOCAL) or by_kind.get(_IFA_ADDRESS)
    return [own] if own else []
