"""A real PostgreSQL server for tests: one for each test process, with an empty database for each test.

PostgreSQL refuses to run as root, so root starts it as `nobody`. It syncs nothing to the disk: tests of power failures
have their own server.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests.needs import SERVERS
from tests.net import free_port

USER: Final = "fenced"
FAST: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
START_SECONDS_MAX: Final = 60
RUNNING: Final = "FENCED_TEST_POSTGRES"
"""Environment variable with the port of a server that runs already."""


@dataclass(slots=True)
class Server:
    """A running server. Databases are named 1, 2, 3..."""

    folder: Path
    port: int
    options: Sequence[str] = FAST
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    async def new_database(self) -> str:
        """Return the name of a new empty database."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}")
        return name

    async def empty_database(self) -> str:
        """Return the name of the one database, emptied: much cheaper than a new one."""
        connection = await self.connect("postgres")
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        finally:
            await connection.close()
        return "postgres"

    async def execute(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the owner, and return its tag."""
        connection = await self.connect(database)
        try:
            return str(await connection.execute(statement))
        finally:
            await connection.close()

    async def connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(host="127.0.0.1", port=self.port, user=USER, database=database)

    def start(self) -> None:
        options = " ".join(
            f"-c {option}"
            for option in (*self.options, "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        )
        log = self.folder / "log"
        run("pg_ctl", "-D", self.data, "-o", f"-p {self.port} {options}", "-l", log, "-w", "start", log=log)

    def stop(self, mode: str = "immediate") -> None:
        run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def end(self) -> None:
        """Stop it unless that was done."""
        if (self.data / "postmaster.pid").exists():
            self.stop()


def run(program: str, *arguments: str | Path, log: Path | None = None) -> None:
    """Run a program of the server as a user that may. Raises AssertionError with what it printed."""
    options: dict[str, int | list[int]] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    # A file, not a pipe: the server inherits it, and a pipe would not end before the server does.
    with tempfile.TemporaryFile() as printed:
        done = subprocess.run(  # type: ignore[call-overload]
            [SERVERS[0] / program, *map(str, arguments)], stdout=printed, stderr=printed, timeout=START_SECONDS_MAX,
            cwd="/", check=False, **options,
        )  # fmt: skip
        printed.seek(0)
        said = printed.read().decode(errors="replace") + (
            log.read_text(errors="replace") if log and log.exists() else ""
        )
    assert done.returncode == 0, said


@contextmanager
def server(options: Sequence[str] = FAST) -> Iterator[Server]:
    """A new server in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    made = Server(folder=folder, port=free_port(), options=options)
    try:
        run("initdb", "-D", made.data, "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
        made.start()
        try:
            yield made
        finally:
            made.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A standby database that streams from a running server; `promote` makes it a primary."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    made = Server(folder=folder, port=free_port(), options=primary.options)
    try:
        source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", USER)
        run("pg_basebackup", "-D", made.data, *source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        made.start()
        try:
            yield made
        finally:
            made.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Return the server of this test process, or the one that started it for its tests."""
    if port := os.environ.get(RUNNING):
        yield Server(folder=Path("/nonexistent"), port=int(port))
        return
    with server() as made:
        yield made
