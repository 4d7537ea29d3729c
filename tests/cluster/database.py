"""A PostgreSQL primary and its streaming standby, each on a machine of its own.

The tests reach both through unix sockets, which no cut touches. Every server is a copy of one template, so that a start
takes no initdb.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg

from fenced.lab.namespaces import find_program
from tests.cluster.network import Machine
from tests.needs import SERVERS
from tests.net import until
from tests.postgres import USER, run

PORT: Final = 5432
OPTIONS: Final = (
    "fsync=off", "full_page_writes=off", "shared_buffers=16MB", "hot_standby=on",
    "wal_receiver_timeout=4s", "wal_sender_timeout=4s", "wal_retrieve_retry_interval=200ms", "autovacuum=off",
    "wal_keep_size=256MB", "listen_addresses=*", f"port={PORT}", "log_min_messages=warning", "jit=off",
)  # fmt: skip
END_SECONDS: Final = 20.0


@functools.cache
def template() -> Path:
    """Return the data of a server that never ran."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-cluster-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    run("initdb", "-D", data, "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
    with (data / "pg_hba.conf").open("a") as file:
        file.write("host all all all trust\nhost replication all all trust\n")
    return data


class Server:
    """One server. `kill` and `freeze` reach each of its processes."""

    def __init__(self, machine: Machine, folder: Path, *, follows: Machine | None = None) -> None:
        """`follows`: it is a standby of the server there."""
        self.machine, self._folder = machine, folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        subprocess.run(["cp", "-a", str(template()), str(self.data)], check=True)
        shutil.chown(folder, "nobody", "nogroup")
        if follows is not None:
            (self.data / "standby.signal").touch()
            with (self.data / "postgresql.auto.conf").open("a") as file:
                file.write(f"primary_conninfo = 'host={follows.address} port={PORT} user={USER}'\n")

    @property
    def data(self) -> Path:
        return self._folder / "data"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    async def start(self, *, is_awaited: bool = True) -> None:
        server = [str(SERVERS[0] / "postgres"), "-D", str(self.data), "-c", f"unix_socket_directories={self._folder}"]
        for option in OPTIONS:
            server += ["-c", option]
        as_nobody = [find_program("setpriv") or "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.machine.argv([*as_nobody, "--pdeathsig=KILL", "--", *server]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        if is_awaited:
            await until(self._answers, what=f"the database on {self.machine.name} answers")

    async def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log
        try:
            async with self.connection():
                return True
        except (OSError, asyncpg.PostgresError):
            return False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(host=str(self._folder), port=PORT, user=USER, database="postgres")
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, query: str) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return list(await connection.fetch(query))

    async def execute(self, *statements: str) -> None:
        async with self.connection() as connection:
            for statement in statements:
                await connection.execute(statement)

    def stop(self) -> None:
        """End it as its service manager does: connections are closed, everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it; no effect if it has ended."""
        if self._process is not None:
            self.freeze(is_frozen=False)
            self._end(signal.SIGQUIT)

    def freeze(self, *, is_frozen: bool) -> None:
        """Stop or continue all of its processes. Each is a session of its own, so no signal reaches all."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with contextlib.suppress(OSError):
            for pid in [str(self._process.pid), *children.read_text().split()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(END_SECONDS)
        self._process = None


class Pair:
    """A primary and its standby. `now`: the one that accepts writes."""

    def __init__(self, folder: Path, *, first: Machine, second: Machine, is_synchronous: bool) -> None:
        self.primary = Server(first, folder / "primary")
        self.standby = Server(second, folder / "standby", follows=first)
        self.now = self.primary
        self._is_synchronous = is_synchronous

    @property
    def url(self) -> str:
        """Return the store's URL, which names both."""
        hosts = f"{self.primary.machine.address}:{PORT},{self.standby.machine.address}:{PORT}"
        return f"postgresql://{USER}@{hosts}/postgres"

    async def start(self) -> None:
        await self.primary.start()
        await self.standby.start()
        await until(self._is_streaming, what=f"the standby database streams: {self.standby.log}")
        if self._is_synchronous:
            await self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")

    async def _is_streaming(self) -> bool:
        return bool(await self.primary.rows("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"))

    async def promote(self) -> None:
        """Let the standby accept writes."""
        await self.standby.rows("SELECT pg_promote()")
        self.now = self.standby

    def kill(self) -> None:
        for server in (self.primary, self.standby):
            server.kill()


@contextlib.asynccontextmanager
async def pair(*, first: Machine, second: Machine, is_synchronous: bool) -> AsyncIterator[Pair]:
    """Run both servers during the block. `is_synchronous`: a commit waits for the standby."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-cluster-"))
    shutil.chown(folder, "nobody", "nogroup")
    made = None
    try:
        made = Pair(folder, first=first, second=second, is_synchronous=is_synchronous)
        await made.start()
        yield made
    finally:
        if made is not None:
            made.kill()
        shutil.rmtree(folder, ignore_errors=True)
