"""This machine: its names and addresses (S18), its boot id, and the steady clock of ports.clock.

It knows no inventory. An address counts even if its interface is down, so it asks the kernel over rtnetlink;
/proc/net and the resolver show only interfaces that are up.
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
    """The kernel did not identify this machine; the caller must not act as if it knew (S18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Host name, fully qualified name and addresses of this machine, without those that many machines share."""

    hostname: str
    names: frozenset[str]
    addresses: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Names and addresses, for comparison with Host.names."""
        return self.names | self.addresses


def own_machine() -> Machine:
    """Ask the kernel, and the resolver for the fully qualified name; it may block, so call it in a thread.

    Raises MachineError.
    """
    hostname = socket.gethostname()
    names = {hostname, _qualified(hostname)}
    try:
        addresses = _addresses()
    except (OSError, struct.error) as exc:
        raise MachineError(f"can't read this machine's addresses from the kernel: {exc}") from exc
    return Machine(
        hostname=hostname,
        names=frozenset(name for name in names if name and not names_nobody(name)),
        addresses=frozenset(address for address in addresses if tells_machines_apart(address)),
    )


def boot_id() -> BootId:
    """Return the kernel's id of this boot. Raises MachineError."""
    try:
        return BootId(BOOT_ID_FILE.read_text().strip())
    except OSError as exc:
        raise MachineError(f"can't read the boot id: {exc}") from exc


def boottime() -> float:
    """Return the seconds since the boot; the clock runs on during suspend and never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Implements ports.clock.Clock: seconds since the epoch, counted by CLOCK_BOOTTIME from `start`."""

    def __init__(self, start: float) -> None:
        self._offset = start - boottime()

    def now(self) -> float:
        return boottime() + self._offset

    def advance(self, to: float) -> float:
        """Go on from that moment, if it is ahead: time never goes back. Return by how many seconds this moved."""
        moved = max(to - self.now(), 0.0)
        self._offset += moved
        return moved

    def ahead_seconds(self) -> float:
        """Return how far this clock is ahead of the wall clock; negative: behind it.

        It is not 0 if the wall clock was wrong at the first start, was set since, or was far ahead in an earlier boot.
        """
        return self.now() - time.time()


def anchor(*, wall_now: float, last_at: float | None, same_boot_offset: float | None) -> float:
    """Return the start of a SteadyClock, so that time never goes back before the journal's.

    `last_at`: the last steady time written; None for an empty journal. `same_boot_offset`: the seconds of
    CLOCK_BOOTTIME since then; None if the machine rebooted since, or if that is unknown.
    """
    if last_at is None:
        return wall_now
    if same_boot_offset is not None and same_boot_offset >= 0:
        return last_at + same_boot_offset
    return max(wall_now, last_at)


def steady_start(
    *,
    wall_now: float,
    boot: str,
    boottime_now: float,
    kept: ClockAnchor | None,
    last_at: float | None,
    steady_at: float | None = None,
) -> float:
    """Return the start of the steady clock.

    `kept`: the journal's anchor. `last_at`: the time of its newest record. `steady_at`: what it reads now by the
    store's clock, for a machine or a boot that can't know it otherwise.
    """
    if kept is not None and kept.boot_id == boot:
        return anchor(wall_now=wall_now, last_at=kept.steady, same_boot_offset=boottime_now - kept.boottime)
    if steady_at is not None:
        return max(steady_at, last_at or steady_at)
    return anchor(wall_now=wall_now, last_at=last_at, same_boot_offset=None)


def _qualified(hostname: str) -> str:
    """Return the resolver's canonical name, or "". It need not be a valid host name, because it is only compared."""
    with contextlib.suppress(OSError, UnicodeError):
        for found in socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME):
            if found[3]:
                return found[3]
    return ""


def _addresses() -> set[str]:
    """Return the addresses of all interfaces (rtnetlink(7), RTM_GETADDR). Raises OSError, struct.error."""
    question = struct.pack("=LHHLL BBBBL", 24, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 1, 0, socket.AF_UNSPEC, 0, 0, 0, 0)
    found: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(DUMP_TIMEOUT_SECONDS)
        kernel.send(question)
        for _ in range(DUMP_DATAGRAMS_MAX):
            if _take(kernel.recv(65536), found):
                return found
    raise OSError("the kernel's dump of addresses does not end")


def _take(datagram: bytes, found: set[str]) -> bool:
    """Add the addresses of a datagram to `found`, and return whether the dump ends with it."""
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
    """Return the address in one ifaddrmsg; on a point-to-point link the local one, not the other end's."""
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
