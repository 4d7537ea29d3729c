"""`python -m tests.warm.parent`: the parent of the tests' programs, which imports them and forks one for each start.

Its first argument is the descriptor of its listener, the others are modules to import. It serves until its standard
input ends. One connection is one program: a request with the three standard descriptors, then the answers `pid` and
`status`. A connection that is closed earlier kills the program.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Final, NoReturn

REQUEST_BYTES_MAX: Final = 1024 * 1024
DESCRIPTORS_MAX: Final = 1024
STREAMS: Final = (("stdin", "r", None), ("stdout", "w", "strict"), ("stderr", "w", "backslashreplace"))


def main(listener: socket.socket, modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    waiters: list[int] = []
    while True:
        ready, _, _ = select.select([0, listener.fileno()], [], [])
        waiters = [pid for pid in waiters if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        if 0 in ready:
            break
        connection, _ = listener.accept()
        waiter = os.fork()
        if waiter == 0:
            listener.close()
            _end(functools.partial(_serve, connection))
        connection.close()
        waiters.append(waiter)
    for pid in waiters:
        os.waitpid(pid, 0)


def _serve(connection: socket.socket) -> None:
    """In a fork: fork once more, and wait for that program."""
    text, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES_MAX, 3)
    if len(descriptors) < 3:
        return  # whoever asked has gone
    program = os.fork()
    if program == 0:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, DESCRIPTORS_MAX)
        _end(functools.partial(_become, json.loads(text)))
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(program)
    with contextlib.suppress(OSError):  # whoever asked has gone, as the connection shows now
        connection.send(b"%d" % program)
    ready, _, _ = select.select([connection.fileno(), ended], [], [])
    if ended not in ready:
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(OSError):  # nobody asks any more
        connection.send(b"%d" % os.waitstatus_to_exitcode(status))


def _end(work: Callable[[], None]) -> NoReturn:
    """Do it and end as the interpreter would, but leave the modules alone: taking them apart would copy all memory."""
    status = 0
    try:
        work()
    except SystemExit as exc:
        if exc.code is not None and not isinstance(exc.code, int):
            print(exc.code, file=sys.stderr)
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # shown as the interpreter shows it
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined] # as at an end; nothing public waits for the threads of executors
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _become(asked: dict[str, Any]) -> None:
    """Run a Python command line in this process, as the interpreter would."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, (name, mode, errors) in enumerate(STREAMS):
        buffering = 1 if number == 2 or os.isatty(number) else -1
        stream = os.fdopen(number, mode, buffering, "utf-8", errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    words = list(asked["arguments"])
    while words[0] == "-W":
        warnings.simplefilter(words[1])
        del words[:2]
    how, what, *arguments = words
    if how == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        assert how == "-c", how
        sys.argv = ["-c", *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
