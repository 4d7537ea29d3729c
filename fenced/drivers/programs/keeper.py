"""The keeper: a small process that runs fence agents for the daemon and lets none of them outlive its call (S16).

`keeper.connection` runs it as a file. It handles calls, processes and deadlines; it does not interpret an agent's
output. `warm_template` extends it.

Any child of the keeper that is not a running agent belongs to a call that has ended, and is killed. This works because
each agent is a subreaper: whatever it forks (double fork, setsid, empty environment) stays below it while it runs, and
becomes a child of the keeper when it ends. When the daemon dies, the keeper kills everything.
"""

import ctypes
import errno
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Final, NoReturn

MESSAGE_BYTES_MAX: Final = 64 * 1024
SWEEP_SECONDS: Final = 2.0  # how long the left-overs of a call may take to die before it is reported as not clean
END_SECONDS: Final = 10.0  # how long a keeper without a daemon tries to kill processes before it gives up
TICK_SECONDS: Final = 1.0  # the longest poll while agents run: suspend stops the poll's clock but no deadline
SWEEP_TICK_SECONDS: Final = 0.02
AGENT_OPEN_FILES_MAX: Final = 1024
DESCRIPTORS_MAX: Final = 2
DESCRIPTOR_BYTES: Final = 4

RECEIVE_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC  # so that no agent holds another's pipes
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
START_TICKS: Final = 19  # of `stat_fields`: when the process started, in ticks since the boot


def now() -> float:
    """Seconds on a clock that goes on while the machine is suspended (S11)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Call:
    """One agent: from its fork until every process that it started is gone."""

    __slots__ = (
        "deadline", "fed_until", "id", "is_over_deadline", "pid", "stdin", "swept_until", "unwritten", "wait_status",
    )  # fmt: skip

    def __init__(self, call_id: bytes, pid: int, stdin: int, deadline: float) -> None:
        self.id = call_id
        self.pid = pid
        self.stdin = stdin
        """The write end of the agent's standard input, or -1. Open for a held agent, which must not see EOF."""
        self.unwritten = b""
        self.deadline = deadline
        self.fed_until = deadline
        """No parameter is written from then on: an agent that gets them may act (S21)."""
        self.is_over_deadline = False
        self.wait_status = 0
        self.swept_until = 0.0

    def kill_late(self) -> None:
        self.is_over_deadline = True
        kill_group(self.pid)


class Keeper:
    """Starts agents on request, reaps all processes, kills left-overs, reports ends."""

    def __init__(self, channel: socket.socket, owner_pid: int) -> None:
        channel.set_inheritable(False)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._channel = channel
        self._pid = os.getpid()
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._running: dict[int, Call] = {}  # by the agent's pid, until it is reaped
        self._calls: dict[bytes, Call] = {}
        self._ending: list[Call] = []  # whose agent has ended and whose left-overs may still live
        self._orphans: dict[int, list[Call]] = {}  # left-overs by pid, with the calls that may have started them
        self._writers: dict[int, Call] = {}  # whose parameters did not fit into the pipe at once, by fd
        self._unsent: list[bytes] = []  # by a stalled daemon: at most three a call, and the daemon bounds its calls
        self._is_owned = True
        if self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "this kernel has no child subreaper")
        self._wakeup, written = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(written, False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # A handler, not SIG_IGN, because exec resets handlers to the default for the agents. The keeper ignores
            # these signals and ends only with its daemon.
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self._owner = os.pidfd_open(owner_pid)
        self._poll = select.epoll()
        for fd in (channel.fileno(), self._wakeup, self._owner):
            self._poll.register(fd, select.EPOLLIN)
        if os.getppid() != owner_pid:
            self._is_owned = False

    def run(self) -> None:
        """Serve until the daemon is gone, then kill all. An exception in a forked child passes, and kills nothing."""
        try:
            while self._is_owned:
                for fd, _events in self._poll.poll(self._patience_seconds()):
                    self._handle(fd)
                self._flush()
                self._reap()
                self._enforce_deadlines()
                self._sweep()
        finally:
            if os.getpid() == self._pid:
                self._end_all()

    def _patience_seconds(self) -> float:
        """Return how long to wait for the next event; -1: for ever."""
        if self._ending or self._unsent:
            return SWEEP_TICK_SECONDS
        if not self._running:
            return TICK_SECONDS if self._orphans else -1.0
        soonest = min(call.deadline for call in self._running.values()) - now()
        return min(TICK_SECONDS, max(0.0, soonest))

    def _handle(self, fd: int) -> None:
        if fd == self._channel.fileno():
            self._receive()
        elif fd == self._wakeup:
            os.read(self._wakeup, 4096)
        elif fd == self._owner:
            self._is_owned = False
        elif fd in self._writers:
            self._write(self._writers[fd])

    # -- requests of the daemon ---------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Handle one request: spawn, feed or kill. An end of file means that the daemon is dead."""
        try:
            message, fds = receive_with_descriptors(self._channel)
        except BlockingIOError:
            return
        except ConnectionError:
            message, fds = b"", []
        if not message:
            self._is_owned = False
            return
        what, call_id, *fields = message.split(b"\0")
        try:
            if what == b"spawn":
                self._spawn(call_id, fields, fds)
            elif what == b"feed":
                self._feed(call_id, fields[1], float(fields[0]))
            elif what == b"kill":
                self._kill(call_id)
        finally:
            for fd in fds:
                os.close(fd)

    def _spawn(self, call_id: bytes, fields: list[bytes], fds: list[int]) -> None:
        """Fork an agent. A held one gets its parameters later; until then its stdin stays open."""
        held, parameters, limit_seconds, count, *rest = fields
        if len(fds) != DESCRIPTORS_MAX:  # the kernel drops descriptors when the process has no room for them
            self._say_not_started(call_id, errno.EMFILE)
            return
        argv, environment = rest[: int(count)], rest[int(count) :]
        deadline = now() + float(limit_seconds)
        read = -1
        try:
            read, write = os.pipe()
            os.set_blocking(write, False)
            pid = os.fork()
        except OSError as exc:
            if read >= 0:
                os.close(read)
                os.close(write)
            self._say_not_started(call_id, exc.errno or 0)
            return
        if pid == 0:
            # Frozen with its keeper past its time, an agent may be the first to go on: then the kernel ends it (S21).
            signal.setitimer(signal.ITIMER_REAL, float(limit_seconds) + TICK_SECONDS)
            self._become_agent(call_id, argv, environment, (read, *fds))
        os.close(read)
        call = Call(call_id, pid, write, deadline)
        self._running[pid] = call
        self._calls[call_id] = call
        if held == b"1":
            self._say(b"started", call_id, b"%d" % pid, stat_fields(str(pid))[START_TICKS])
        else:
            self._feed(call_id, parameters, deadline)

    def _become_agent(
        self, call_id: bytes, argv: list[bytes], environment: list[bytes], stdio: tuple[int, ...]
    ) -> NoReturn:
        """In the forked child: isolate it, then run the agent. Report a failure instead of running anything."""
        try:
            self._isolate(stdio)
            self._execute(argv, environment)
        except OSError as exc:
            self._channel.send(b"\0".join((b"failed", call_id, b"%d" % (exc.errno or 0))))
            os._exit(127)

    def _isolate(self, stdio: tuple[int, ...]) -> None:
        """Start a session, die with the keeper, use the three pipes as standard input, output and error."""
        os.setsid()
        self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.getppid() != self._pid:  # the keeper died before PR_SET_PDEATHSIG took effect
            os._exit(127)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGALRM):  # an exec would inherit what ignores them
            signal.signal(number, signal.SIG_DFL)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = AGENT_OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(AGENT_OPEN_FILES_MAX, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))

    def _execute(self, argv: list[bytes], environment: list[bytes]) -> NoReturn:
        """Execute the agent, which inherits the three pipes alone. A warm template overrides this."""
        os.execve(argv[0], argv, dict(pair.split(b"=", 1) for pair in environment))  # noqa: S606 - no shell wanted

    def _feed(self, call_id: bytes, parameters: bytes, fed_until: float) -> None:
        """Give a held agent its parameters, then the end of file."""
        call = self._calls.get(call_id)
        if call is not None and call.stdin >= 0:
            call.unwritten = parameters
            call.fed_until = min(call.fed_until, fed_until)
            self._write(call)

    def _write(self, call: Call) -> None:
        """Write as much as the pipe takes. Ignore an agent that has closed its standard input.

        Kill an agent whose time is over instead: the daemon, or this machine, was stopped since it decided.
        """
        if now() >= call.fed_until:
            call.unwritten = b""
            call.kill_late()
            return
        try:
            call.unwritten = call.unwritten[os.write(call.stdin, call.unwritten) :]
        except BlockingIOError:
            pass
        except OSError:
            call.unwritten = b""
        if not call.unwritten:
            self._close_stdin(call)
        elif call.stdin not in self._writers:
            self._writers[call.stdin] = call
            self._poll.register(call.stdin, select.EPOLLOUT)

    def _close_stdin(self, call: Call) -> None:
        if call.stdin < 0:
            return
        if self._writers.pop(call.stdin, None) is not None:
            self._poll.unregister(call.stdin)
        os.close(call.stdin)
        call.stdin = -1

    def _kill(self, call_id: bytes) -> None:
        """Kill the agent and its group; what it started becomes a child of the keeper and is swept."""
        call = self._calls.get(call_id)
        if call is not None:
            kill_group(call.pid)

    def _reap(self) -> None:
        """Collect every child that has ended, agents and left-overs."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._orphans.pop(pid, None)
            call = self._running.pop(pid, None)
            if call is not None:
                del self._calls[call.id]
                self._close_stdin(call)
                call.wait_status = wait_status
                call.swept_until = now() + SWEEP_SECONDS
                self._ending.append(call)

    def _enforce_deadlines(self) -> None:
        """Kill agents after their deadline, in case the daemon stalls and does not do it."""
        at = now()
        for call in self._running.values():
            if call.deadline <= at:
                call.kill_late()

    def _sweep(self) -> None:
        """Kill left-overs. Report each call that has none left, or whose left-overs do not die in time."""
        if not self._ending and not self._orphans:
            return
        for pid in children_of(self._pid):
            if pid not in self._running:
                self._orphans.setdefault(pid, list(self._ending))
                kill_group(pid)
        owners = {call.id for owned in self._orphans.values() for call in owned}
        at = now()
        still: list[Call] = []
        for call in self._ending:
            if call.id in owners and at < call.swept_until:
                still.append(call)
            else:
                self._say_ended(call, is_clean=call.id not in owners)
        self._ending = still

    def _end_all(self) -> None:
        """Kill everything after the daemon's death. Held agents die before their stdin closes."""
        give_up_at = now() + END_SECONDS
        while now() < give_up_at:
            for pid in children_of(self._pid):
                kill_group(pid)
            try:
                while os.waitpid(-1, os.WNOHANG)[0] != 0:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)

    # -- reports to the daemon ----------------------------------------------------------------------------------------

    def _say_not_started(self, call_id: bytes, number: int) -> None:
        self._say(b"failed", call_id, b"%d" % number)
        self._say(b"ended", call_id, b"127", b"1", b"0")

    def _say_ended(self, call: Call, *, is_clean: bool) -> None:
        status = os.waitstatus_to_exitcode(call.wait_status)
        self._say(b"ended", call.id, b"%d" % status, b"1" if is_clean else b"0", b"%d" % call.is_over_deadline)

    def _say(self, *fields: bytes) -> None:
        self._unsent.append(b"\0".join(fields))
        self._flush()

    def _flush(self) -> None:
        """Send what the daemon reads now. A stalled daemon must not block the keeper, which enforces its deadlines."""
        try:
            while self._unsent:
                self._channel.send(self._unsent[0], socket.MSG_DONTWAIT)
                del self._unsent[0]
        except BlockingIOError:
            pass
        except OSError:
            self._is_owned = False


def receive_with_descriptors(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors (socket.recv_fds of Python 3.11 ignores the flags). Raises OSError."""
    room = socket.CMSG_SPACE(DESCRIPTORS_MAX * DESCRIPTOR_BYTES)
    message, ancillary, _flags, _address = channel.recvmsg(MESSAGE_BYTES_MAX, room, RECEIVE_FLAGS)
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = range(0, len(data) - DESCRIPTOR_BYTES + 1, DESCRIPTOR_BYTES)
            fds += [int.from_bytes(data[at : at + DESCRIPTOR_BYTES], sys.byteorder) for at in whole]
    return message, fds


def kill_group(pid: int) -> None:
    """SIGKILL a child that is not reaped yet, and its process group unless that is the keeper's."""
    try:
        group = os.getpgid(pid)
        os.kill(pid, signal.SIGKILL)
        if group not in (0, os.getpgrp()):
            os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it is gone or belongs to another user; the sweep checks whether it still exists


def children_of(pid: int) -> list[int]:
    """Return the children of a single-threaded process, including zombies."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is slow to import
            return [int(child) for child in file.readall().split()]
    except FileNotFoundError:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(name) == pid]  # noqa: PTH208 - as above


def parent_of(name: str) -> int:
    try:
        return int(stat_fields(name)[1])
    except OSError:
        return 0


def stat_fields(name: str) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on; the name before them may contain spaces and brackets."""
    with open(f"/proc/{name}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is slow to import
        return file.readall().rpartition(b")")[2].split()


def main() -> None:
    """`keeper.py CHANNEL_FD OWNER_PID`, in a session of its own."""
    try:
        keeper = Keeper(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    except ProcessLookupError:
        return  # the daemon died before the keeper started anything
    keeper.run()


if __name__ == "__main__":
    main()
