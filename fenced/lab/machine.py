"""A host of the lab, from power-on to power cut: the first process of one run.

Runs under `python -I -S` as `machine.py --oracle FILE --boot ID [--port N] [--folder DIR] -- REPORTER...`. It keeps the
reporter (`fenced beat`) running, answers on a port like an SSH server, and appends to the oracle every
ORACLE_INTERVAL_SECONDS. Knows nothing of fencing. An oracle without new lines therefore proves that the host does not
run.

With a folder it can be shut down, by SIGTERM (its power button) or `systemctl poweroff`: it ends the reporter, waits as
a machine that unmounts its disks, and leaves the file HALTED. It also tells the reporter how many workloads run.
"""

import argparse
import contextlib
import os
import selectors
import shlex
import signal
import socket
import time
from pathlib import Path

ORACLE_INTERVAL_SECONDS = 0.02
ORACLE_MAX_BYTES = 4 * 1024 * 1024
RESPAWN_SECONDS = 0.5
WORKLOADS_SECONDS = 0.2
END_SECONDS = 5.0
"""The reporter is killed if it takes longer to end."""
UNMOUNT_SECONDS = 2.0
BANNER = b"SSH-2.0-fenced_lab\r\n"
WANTED = "wanted"
"""How many workloads are to run here. The lab writes it."""
WORKLOADS = "workloads"
"""How many run, written anew all the time: what a host's scheduler writes for the reporter."""
STOPPING = "stopping"
HALTED = "halted"


def main() -> None:
    """Run the host. It ends when its power is cut, or when it was shut down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", required=True, help="file to which this host appends as long as it lives")
    parser.add_argument("--boot", required=True, help="boot id of this run")
    parser.add_argument("--port", type=int, default=0, help="TCP port that answers like SSH; 0: none")
    parser.add_argument("--folder", type=Path, help="what is known of this run; without it the host can't be shut down")
    parser.add_argument("reporter", nargs="+", help="program to keep running")
    arguments = parser.parse_args()
    if os.getpid() != os.getpgid(0):
        os.setpgid(0, 0)
    selector = selectors.DefaultSelector()
    if arguments.port:
        selector.register(_listen(arguments.port), selectors.EVENT_READ)
    oracle = os.open(arguments.oracle, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    system = None if arguments.folder is None else System(arguments.folder)
    _live(selector, oracle, arguments.boot, Reporter(arguments.reporter), system)


class System:
    """The operating system of one run, as far as it can be asked for its work and to shut down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_asked = False
        self._written_at = 0.0
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        for left in (STOPPING, HALTED):
            (folder / left).unlink(missing_ok=True)
        (folder / WANTED).write_text("0\n")  # the work of an earlier run died with it
        self._write_systemctl(folder / "bin" / "systemctl")
        os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    @property
    def is_asked_down(self) -> bool:
        return self._is_asked

    def ask_down(self) -> None:
        """Begin to shut down."""
        if not self._is_asked:
            (self._folder / STOPPING).touch()
            self._is_asked = True

    def halt(self) -> None:
        """Note that everything has ended: the chassis can be switched off."""
        (self._folder / HALTED).touch()

    def say_workloads(self) -> None:
        """Write how many workloads run here, if that is due."""
        if time.monotonic() < self._written_at + WORKLOADS_SECONDS:
            return
        self._written_at = time.monotonic()
        new = self._folder / f"{WORKLOADS}.new"
        new.write_text((self._folder / WANTED).read_text().strip() or "0")
        new.replace(self._folder / WORKLOADS)

    def _write_systemctl(self, file: Path) -> None:
        stopping = shlex.quote(str(self._folder / STOPPING))
        file.write_text(f"""\
#!/bin/sh
case $1 in
is-system-running) if [ -e {stopping} ]; then echo stopping; else echo running; fi ;;
poweroff) kill -TERM {os.getpid()} ;;
*) exit 1 ;;
esac
""")
        file.chmod(0o755)


class Reporter:
    """The program that reports the host's health. It is started again whenever it ends."""

    def __init__(self, program: list[str]) -> None:
        self._program = program
        self._pid = 0
        self._ended_at = 0.0

    @property
    def is_running(self) -> bool:
        return self._pid != 0

    def keep(self) -> None:
        """Start it unless it runs, in this process's group, so that freezing the group freezes the whole host."""
        if not self._pid and time.monotonic() - self._ended_at > RESPAWN_SECONDS:
            self._pid = os.posix_spawn(self._program[0], self._program, os.environ)

    def reap(self) -> None:
        """Collect ended children. The first process of a namespace inherits every orphan."""
        while (ended := _reap()) is not None:
            if ended == self._pid:
                self._pid, self._ended_at = 0, time.monotonic()

    def send(self, number: signal.Signals) -> None:
        if self._pid:
            os.kill(self._pid, number)


def _live(
    selector: selectors.BaseSelector, oracle: int, boot: str, reporter: Reporter, system: System | None
) -> None:  # fmt: skip
    """Live until the power is cut, or until the host is asked to shut down."""
    _set_power_button(system)
    while system is None or not system.is_asked_down:
        reporter.keep()
        _tick(selector, oracle, boot, reporter)
        if system is not None:
            system.say_workloads()
    reporter.send(signal.SIGTERM)
    end = time.monotonic() + END_SECONDS
    while reporter.is_running:
        _tick(selector, oracle, boot, reporter)
        if time.monotonic() >= end:
            reporter.send(signal.SIGKILL)
    end = time.monotonic() + UNMOUNT_SECONDS
    while time.monotonic() < end:
        _tick(selector, oracle, boot, reporter)
    system.halt()


def _set_power_button(system: System | None) -> None:
    if system is None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return
    ask_down = system.ask_down
    signal.signal(signal.SIGTERM, lambda number, frame: ask_down())


def _tick(selector: selectors.BaseSelector, oracle: int, boot: str, reporter: Reporter) -> None:
    _write(oracle, boot)
    for key, _ in selector.select(ORACLE_INTERVAL_SECONDS):
        _answer(key.fileobj)
    if not selector.get_map():
        time.sleep(ORACLE_INTERVAL_SECONDS)
    reporter.reap()


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


def _reap() -> int | None:
    """Return the pid of a child that ended; None: there is none now."""
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return pid or None


if __name__ == "__main__":
    main()
