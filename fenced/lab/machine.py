"""A host of the lab, from power-on to power cut: the first process of one run.

Runs under `python -I -S` as `machine.py --oracle FILE --boot ID [--port N] -- REPORTER...`. It keeps the reporter
(`fenced beat`) running, answers on a port like an SSH server, and appends to the oracle every ORACLE_INTERVAL_SECONDS.
Knows nothing of fencing. An oracle without new lines therefore proves that the host does not run.
"""

import argparse
import contextlib
import os
import selectors
import signal
import socket
import time

ORACLE_INTERVAL_SECONDS = 0.02
ORACLE_MAX_BYTES = 4 * 1024 * 1024
RESPAWN_SECONDS = 0.5
BANNER = b"SSH-2.0-fenced_lab\r\n"


def main() -> None:
    """Run the host. Never returns: it ends when its power is cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", required=True, help="file to which this host appends as long as it lives")
    parser.add_argument("--boot", required=True, help="boot id of this run")
    parser.add_argument("--port", type=int, default=0, help="TCP port that answers like SSH; 0: none")
    parser.add_argument("reporter", nargs="+", help="program to keep running")
    arguments = parser.parse_args()
    if os.getpid() != os.getpgid(0):
        os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    if arguments.port:
        selector.register(_listen(arguments.port), selectors.EVENT_READ)
    oracle = os.open(arguments.oracle, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    _live(selector, oracle, arguments.boot, arguments.reporter)


def _live(selector: selectors.BaseSelector, oracle: int, boot: str, reporter: list[str]) -> None:
    child, child_ended = _start(reporter), 0.0
    while True:
        _write(oracle, boot)
        for key, _ in selector.select(ORACLE_INTERVAL_SECONDS):
            _answer(key.fileobj)
        if not selector.get_map():
            time.sleep(ORACLE_INTERVAL_SECONDS)
        while (ended := _reap()) is not None:
            if ended == child:
                child, child_ended = 0, time.monotonic()
        if not child and time.monotonic() - child_ended > RESPAWN_SECONDS:
            child = _start(reporter)


def _listen(port: int) -> socket.socket:
    listener = socket.create_server(("", port), backlog=64)
    listener.setblocking(False)
    return listener


def _answer(listener: object) -> None:
    if isinstance(listener, socket.socket):
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.setblocking(False)
                connection.send(BANNER)


def _write(oracle: int, boot: str) -> None:
    """Append one line: CLOCK_MONOTONIC (the same in every process of the machine) and the boot id."""
    if os.fstat(oracle).st_size > ORACLE_MAX_BYTES:
        os.ftruncate(oracle, 0)
    os.write(oracle, f"{time.monotonic():.6f} {boot}\n".encode())


def _start(program: list[str]) -> int:
    """Start a program in this process's group, so that freezing the group freezes the whole host."""
    return os.posix_spawn(program[0], program, os.environ)


def _reap() -> int | None:
    """Collect ended children. The first process of a namespace inherits every orphan."""
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return pid or None


if __name__ == "__main__":
    main()
