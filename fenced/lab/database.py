"""Runs a PostgreSQL server for a lab with several controllers, on a loopback port and with a password.

Nothing of it outlives the lab, so it does not sync to the disk. PostgreSQL refuses to run as root; a lab of root runs
it as the user of the Debian package, in a temporary folder that this user can reach.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fenced.lab.errors import LabError
from fenced.lab.ground import Endpoint, Ground, spawn
from fenced.lab.namespaces import find_program
from fenced.lab.programs import run_to_end, tail

PREFIX: Final = "fenced-lab"
"""Of temporary folders; the process id of the lab follows."""
ROLE: Final = "fenced"
DATABASE: Final = "postgres"
SERVERS: Final = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs out of PATH, one folder for each version."""
USERS: Final = ("postgres", "nobody")
SETTINGS: Final = ("fsync=off", "full_page_writes=off", "max_connections=50", "shared_buffers=16MB")
PASSWORD_BYTES: Final = 24
START_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A cluster that was made. `user`: who runs it; None: the lab's own user. `password_file`: for the controllers."""

    programs: Path
    folder: Path
    endpoint: Endpoint
    user: str | None
    password_file: Path

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@{self.endpoint}/{DATABASE}"

    def argv(self) -> list[str]:
        """Return the command line of the server."""
        options = (*SETTINGS, f"listen_addresses={self.endpoint.address}", "unix_socket_directories=")
        settings = [word for option in options for word in ("-c", option)]
        server = [str(self.programs / "postgres"), "-D", str(self.folder), "-p", str(self.endpoint.port), *settings]
        return as_user(self.user, server)

    async def until_ready(self, ground: Ground, *, log: Path) -> None:
        """Wait until the server accepts connections. Raises LabError after START_SECONDS_MAX."""
        where = ("-h", self.endpoint.address, "-p", str(self.endpoint.port), "-q")
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while True:
                    asked = await spawn(ground.argv([str(self.programs / "pg_isready"), *where]), log)
                    if await asked.wait() == 0:
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as exc:
            said = "\n".join(f"  {line}" for line in tail(log))
            raise LabError(f"PostgreSQL was not ready within {START_SECONDS_MAX:.0f} s:\n{said}") from exc


def check_installed() -> Path:
    """Return the folder of PostgreSQL's programs. Raises LabError that names what to install."""
    if find_spec("asyncpg") is None:
        raise LabError(
            "several controllers need the Python package asyncpg: install Debian's python3-asyncpg, or "
            "fenced[postgresql]"
        )
    found = [path for path in SERVERS.glob("*/bin") if (path / "initdb").exists() and path.parent.name.isdecimal()]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    if (initdb := find_program("initdb")) is not None:
        return Path(initdb).parent
    raise LabError("several controllers need a database: install the Debian package postgresql")


@asynccontextmanager
async def making(directory: Path, endpoint: Endpoint) -> AsyncIterator[Database]:
    """Make an empty cluster for the lab in that directory, and remove it after the block. Raises LabError."""
    programs, user = check_installed(), _user()
    password, password_file = secrets.token_urlsafe(PASSWORD_BYTES), directory / "store.password"
    _write_secret(password_file, password)
    with _folder(directory, user) as folder:
        first, data = folder / "password", folder / "data"
        _write_secret(first, password)
        if user is not None:
            shutil.chown(first, user)
        how = ("-A", "scram-sha-256", f"--pwfile={first}", "-E", "UTF8", "--locale=C", "--no-sync")
        argv = as_user(user, [str(programs / "initdb"), "-D", str(data), "-U", ROLE, *how])
        await run_to_end("initdb", argv, log=directory / "initdb.log")
        yield Database(programs=programs, folder=data, endpoint=endpoint, user=user, password_file=password_file)


@contextmanager
def _folder(directory: Path, user: str | None) -> Iterator[Path]:
    """Yield a new folder of that user; `sweep` of app/lab knows those of killed labs by their name."""
    if user is None:
        folder = directory / "database"
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_secret(file: Path, secret: str) -> None:
    file.touch(mode=0o600)
    file.write_text(f"{secret}\n", encoding="ascii")


def as_user(user: str | None, argv: Sequence[str]) -> list[str]:
    """Return the command that runs a program as that user, and kills it when its parent dies."""
    if user is None:
        return list(argv)
    account = pwd.getpwnam(user)
    ids = ("--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups")
    # A change of the user clears the signal of the parent's death, so it is set again. PostgreSQL's programs must be
    # able to enter their working directory.
    return [find_program("env") or "env", "-C", "/", _setpriv(), *ids, "--pdeathsig", "KILL", "--", *argv]


def _setpriv() -> str:
    setpriv = find_program("setpriv")
    if setpriv is None:
        raise LabError("root can't run PostgreSQL without the program setpriv: install the Debian package util-linux")
    return setpriv


def _user() -> str | None:
    """Return who is to run the server: None for this process's own user."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LabError("root can't run PostgreSQL: there is no user postgres; install the Debian package postgresql")
