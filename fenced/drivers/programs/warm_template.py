"""A warm template: a keeper in the agents' interpreter that has their libraries loaded and forks agents from itself.

`keeper.warm_agents` runs it as a file under the interpreter of the agents' shebang (Python 3.9 or later, standard
library alone). The forked child leaves the keeper's stack, releases what belongs to the keeper, and runs the agent's
code as `__main__`, so that the interpreter ends it like any program.

Everything that would make a warm start differ from a plain one is detected before the fork; the child then executes
the agent plainly. So each call starts exactly one process, warm or plain.
"""

from __future__ import annotations

import atexit
import builtins
import ctypes
import gc
import importlib
import os
import signal
import socket
import sys
import time
import warnings
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fenced.drivers.programs import keeper

    Stamp = tuple[int, ...]
    Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]
else:
    sys.dont_write_bytecode, was = True, sys.dont_write_bytecode
    import keeper  # the file beside this one: a program's own directory comes first on its path

    sys.dont_write_bytecode = was
    del sys.modules["keeper"]

CALLS_MAX: Final = 10_000
AGE_SECONDS_MAX: Final = 24 * 3600.0
"""Bounds the age of files that a process reads once and that `files_in_use` does not know."""
RESIDENT_BYTES_MAX: Final = 256 * 1024 * 1024
AGENTS_MAX: Final = 256
"""Limit for cached compiled agents."""
MAPS: Final = "/proc/self/maps"
SURROUNDINGS: Final = ("/etc/localtime", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf")
"""Files that a process reads once and that are not modules."""
STANDARD_ERROR: Final = 2
FIRST_OWN_DESCRIPTOR: Final = 3
PR_SET_NAME: Final = 15
CLOCK_REALTIME_COARSE: Final = 5
"""The clock of file times; finer clocks run some milliseconds ahead of it."""


class Birth(BaseException):
    """Raised in the forked child to unwind the keeper's stack.

    A BaseException, so that no handler takes it for an error.
    """

    def __init__(self, path: str, code: CodeType, environment: list[bytes]) -> None:
        super().__init__(path)
        self.path = path
        self.code = code
        self.environment = environment


class Template(keeper.Keeper):
    """A keeper whose agents skip the interpreter's start. Everything else about a call is the base class's."""

    def __init__(self, channel: socket.socket, owner_pid: int, shebang: bytes, directory: str) -> None:
        super().__init__(channel, owner_pid)
        self._shebang = shebang
        self._directory = directory
        self._agents: dict[bytes, tuple[Stamp, CodeType | None]] = {}
        self._code: CodeType | None = None
        """For the next fork; None: start it plainly."""
        self._watched = {path: stamp(path) for path in files_in_use()}
        self._calls_left = CALLS_MAX
        self._worn_at = keeper.now() + AGE_SECONDS_MAX
        self._is_worn = False

    def serve(self) -> None:
        """Report `ready`, then run."""
        self._say(b"ready", b"")
        self.run()

    def _spawn(self, call_id: bytes, fields: list[bytes], fds: list[int]) -> None:
        argv = fields[4 : 4 + int(fields[3])]
        self._code = self._code_for(argv[0]) if len(argv) == 1 and self._is_fit() else None
        super()._spawn(call_id, fields, fds)

    def _execute(self, argv: list[bytes], environment: list[bytes]) -> NoReturn:
        if self._code is None:
            super()._execute(argv, environment)
        raise Birth(os.fsdecode(argv[0]), self._code, environment)

    def _is_fit(self) -> bool:
        """Return whether this process still equals a new one: no loaded file has changed, and it is not worn."""
        if self._is_worn:
            return False
        self._calls_left -= 1
        self._is_worn = (
            self._calls_left < 0
            or keeper.now() > self._worn_at
            or resident_bytes() > RESIDENT_BYTES_MAX
            or any(stamp(path) != was for path, was in self._watched.items())
        )
        if self._is_worn:
            self._say(b"worn", b"")
        return not self._is_worn

    def _code_for(self, path: bytes) -> CodeType | None:
        """Return the agent's code, compiled once per state of its file; None: a plain start handles it."""
        at = stamp(path)
        known = self._agents.get(path)
        if known is None or known[0] != at:
            if len(self._agents) >= AGENTS_MAX:
                self._agents.clear()
            known = self._agents[path] = (at, self._compile(path))
        return known[1]

    def _compile(self, path: bytes) -> CodeType | None:
        try:
            with open(path, "rb") as file:
                source = file.read()
            if source.partition(b"\n")[0].rstrip(b" \t") != self._shebang or not os.access(path, os.X_OK):
                return None
            if os.path.dirname(os.path.realpath(os.fsdecode(path))) != self._directory:
                return None
            with warnings.catch_warnings(record=True) as warned:
                code: CodeType = compile(source, os.fsdecode(path), "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            return None
        return None if warned else code

    def leave(self, path: str) -> None:
        """In the child: restore the signals, descriptors and process name that a plain start would have."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        self._poll.close()
        self._channel.close()
        os.closerange(FIRST_OWN_DESCRIPTOR, max(descriptors()) + 1)
        self._prctl(PR_SET_NAME, os.fsencode(os.path.basename(path)), 0, 0, 0)


def stamp(path: bytes | str) -> Stamp:
    """Return a value that differs once the file is changed or replaced; empty if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def loaded() -> list[dict[str, Any]]:
    """Return the namespaces of all modules, through `vars`: attribute access would make a lazy module import."""
    return [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]


def files_in_use() -> list[str]:
    """Return the interpreter, its libraries, every loaded module, and other files that are read once."""
    files = {sys.executable, *SURROUNDINGS}
    files.update(names.get("__file__") or "" for names in loaded())
    with open(MAPS, encoding="utf-8", errors="surrogateescape") as lines:
        files.update(line.split(None, 5)[5].rstrip("\n") for line in lines if "/" in line)
    return sorted(file for file in files if file.startswith("/"))


def descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def resident_bytes() -> int:
    """Return the present size. The peak of getrusage would include the daemon's memory from before the exec."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traits() -> tuple[Any, ...]:
    """Return what loading a library may change and a fork would lose (threads), inherit, or overwrite."""
    handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    return len(os.listdir("/proc/self/task")), len(descriptors()), handlers, os.getcwd(), list(sys.path)


def load(directory: str, library: str, modules: list[str]) -> bool:
    """Import the modules as an agent in that directory would; return whether forks can share them and the files match.

    Leaves `sys.path` as in an interpreter without a program.
    """
    began = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    plain = sys.path[1:]
    sys.path[:] = [directory, *plain, *([library] if library else [])]
    before = traits()
    for name in modules:
        importlib.import_module(name)
    is_shareable = traits() == before
    sys.path[:] = plain
    changed = [stamp(path)[-1:] for path in files_in_use()]
    return is_shareable and all(at < (began,) for at in changed)


def become(birth: Birth, directory: str) -> dict[str, Any]:
    """Turn this process into the agent's; return the namespace of a new `__main__`.

    Frozen objects are never deleted.
    """
    os.environb.clear()
    os.environb.update(dict(pair.split(b"=", 1) for pair in birth.environment))
    sys.path.insert(0, directory)
    if hasattr(sys, "orig_argv"):  # Python 3.10
        sys.orig_argv = [*sys.orig_argv[: -len(sys.argv)], birth.path]
    sys.argv = [birth.path]
    ours, theirs = sys.modules["__main__"], ModuleType("__main__")
    sys.modules["__main__"] = theirs
    for names in loaded():
        if names.get("__main__") is ours:  # the fencing library reads it
            names["__main__"] = theirs
            atexit.register(names.pop, "__main__", None)  # a frozen namespace would keep it alive at exit
    assert ours.__loader__ is not None
    theirs.__dict__.update(
        __loader__=type(ours.__loader__)("__main__", birth.path),  # type: ignore[call-arg]
        __annotations__={},
        __builtins__=builtins,
        __file__=birth.path,
        __cached__=None,
    )
    return theirs.__dict__


def without_our_frames(hook: Hook, code: CodeType) -> Hook:
    """Return an excepthook that starts the traceback at the agent's first line."""

    def shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code is not code:
            trace = trace.tb_next
        hook(kind, error.with_traceback(trace), trace)

    return shown


def prepared(arguments: list[str]) -> Template | None:
    """Return the loaded template; None if forks can't share these libraries or the daemon is gone."""
    owner, number, errors, shebang, library, directory, *modules = arguments
    os.dup2(int(errors), STANDARD_ERROR)  # Python has opened the stream on a pipe, as in every agent
    os.close(int(errors))
    prctl = ctypes.CDLL(None).prctl
    prctl(keeper.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    channel = socket.socket(fileno=int(number))
    if not load(directory, library, modules):
        return None
    try:
        template = Template(channel, int(owner), os.fsencode(shebang), directory)
    except ProcessLookupError:
        return None
    # The template now notices the daemon's death itself, and must live to kill its agents.
    prctl(keeper.PR_SET_PDEATHSIG, 0, 0, 0, 0)
    gc.collect()
    gc.freeze()  # a collection would write to every shared page
    return template


def born_from(template: Template) -> Birth | None:
    """Serve until the daemon is gone, then return None. In a forked child, return the agent to become."""
    try:
        template.serve()
    except Birth as birth:
        template.leave(birth.path)
        return birth
    return None


def main() -> None:
    """Run as `warm_template.py OWNER_PID CHANNEL_FD ERRORS_FD SHEBANG LIBRARY DIRECTORY MODULE...`.

    DIRECTORY is that of the agents.
    """
    template = prepared(sys.argv[1:])
    birth = None if template is None else born_from(template)
    if birth is None:
        return
    code, namespace = birth.code, become(birth, sys.argv[6])
    try:
        exec(code, namespace)  # noqa: S102 - the agent that the daemon wants to run
    except BaseException:
        sys.excepthook = without_our_frames(sys.excepthook, code)
        raise


if __name__ == "__main__":
    main()
