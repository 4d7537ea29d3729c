"""Network namespaces without names: a file descriptor of this process holds each, so they end with the process.

Knows Linux (`setns`, `unshare`, `ip`), nothing of hosts. It never changes the machine's own network, and leaves nothing
behind when this process dies, however it dies.
"""

import array
import asyncio
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from fenced.lab.errors import LabError

CLONE_NEWNET: Final = 0x40000000
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 0x1
IFREQ_BYTES: Final = 40
COMMAND_TIMEOUT_SECONDS: Final = 10.0
OUTPUT_SHOWN_BYTES: Final = 400
PROGRAMS: Final = ("ip", "nsenter", "unshare")
SEARCHED: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])

T = TypeVar("T")


class NamespaceError(LabError):
    """A namespace or link could not be made; says what was tried and what the system answered."""


def find_program(name: str) -> str | None:
    """Return the program's path; also look in the directories that only root's PATH has."""
    return shutil.which(name, path=SEARCHED)


class Namespace:
    """One network namespace. A new one has only its loopback."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._control: socket.socket | None = None

    @classmethod
    def make(cls) -> "Namespace":
        """Make a namespace. Raises NamespaceError if the system forbids it."""

        def unshared() -> int:
            _check(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET), "unshare a network namespace")
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        made = cls(_in_thread(unshared))
        made.set_link("lo", is_up=True)
        return made

    @property
    def path(self) -> str:
        """The path by which other programs of this machine open it, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def call(self, function: Callable[[], T]) -> T:
        """Run a short function inside and return its result. Sockets stay in the namespace in which they are made."""

        def inside() -> T:
            _check(ctypes.CDLL(None, use_errno=True).setns(self._descriptor, CLONE_NEWNET), "enter a namespace")
            return function()

        return _in_thread(inside)

    def socket(self) -> socket.socket:
        """Return a TCP socket of the namespace, neither bound nor connected."""
        return self.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))

    def set_link(self, name: str, *, is_up: bool) -> None:
        """Set a link up or down at once, without starting a program. Raises NamespaceError if there is no such link."""
        if self._control is None:
            self._control = self.socket()
        request = array.array("B", struct.pack("16sH", name.encode(), 0).ljust(IFREQ_BYTES, b"\0"))
        try:
            fcntl.ioctl(self._control, SIOCGIFFLAGS, request, True)
            _, flags = struct.unpack_from("16sH", request)
            flags = flags | IFF_UP if is_up else flags & ~IFF_UP
            struct.pack_into("16sH", request, 0, name.encode(), flags)
            fcntl.ioctl(self._control, SIOCSIFFLAGS, request, True)
        except OSError as exc:
            raise NamespaceError(f"link {name} can't be set {'up' if is_up else 'down'}: {exc}") from exc

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` inside."""
        return [find_program("nsenter") or "nsenter", f"--net={self.path}", "--", *argv]

    async def ip(self, commands: Sequence[str]) -> None:
        """Run `ip` commands inside, in order, until one fails. Raises NamespaceError."""
        text = "".join(f"{command}\n" for command in commands)
        await run(self.argv([find_program("ip") or "ip", "-batch", "-"]), text)

    def close(self) -> None:
        """Release the namespace; the kernel removes it once no process and no socket is in it. Idempotent."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


async def run(argv: Sequence[str], text: str = "") -> None:
    """Run a short program with `text` on its standard input. Raises NamespaceError unless it exits with 0 in time."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    except OSError as exc:
        raise NamespaceError(f"{argv[0]} can't be started: {exc}") from exc
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
            output, _ = await process.communicate(text.encode())
    except TimeoutError as exc:
        raise NamespaceError(f"{argv[0]} did not end within {COMMAND_TIMEOUT_SECONDS} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = output[-OUTPUT_SHOWN_BYTES:].decode(errors="replace").strip()
        raise NamespaceError(f"{' '.join(argv)} failed with {process.returncode}: {said}")


async def why_not() -> str | None:
    """Return why namespaces are not available, or None. It tries by making real ones."""
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in PROGRAMS if find_program(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        outer, inner = Namespace.make(), Namespace.make()
    except (NamespaceError, OSError) as exc:
        return str(exc)
    try:
        await outer.ip(["link add bridge0 type bridge", f"link add one type veth peer name two netns {inner.path}"])
        await run([find_program("unshare") or "unshare", *PROCESS_NAMESPACE, "true"])
    except (NamespaceError, OSError) as exc:
        return str(exc)
    finally:
        outer.close()
        inner.close()
    return None


PROCESS_NAMESPACE: Final = ("--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--")
"""Arguments of `unshare` for a process namespace in which every process dies with the first one."""


def _in_thread(function: Callable[[], T]) -> T:
    """Run a function in a short-lived thread: only that thread enters the namespace, not the rest of this process."""
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(function())
        except BaseException as exc:  # re-raised in the caller's thread
            errors.append(exc)

    thread = threading.Thread(target=target, name="namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _check(result: int, what: str) -> None:
    if result != 0:
        raise NamespaceError(f"can't {what}: {os.strerror(ctypes.get_errno())}")
