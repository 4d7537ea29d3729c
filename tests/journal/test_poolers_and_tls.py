"""The store through PgBouncer in transaction mode, and over TLS with certificates on both sides."""

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.journal.postgres.checking import check
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.store_urls import PostgresUrl
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import Batch, EpochLost, StoreError
from fenced.proxy.certificates import make_authority, make_daemon, make_proxy
from tests.journal.rigs import PostgresRig, start
from tests.journal.strategies import entry, host_state, message, operation
from tests.needs import find, needs
from tests.net import free_port, until_listening
from tests.postgres import FAST, USER, Server, server

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
BATCHES = 30


@asynccontextmanager
async def pgbouncer(database: PostgresRig, folder: Path) -> AsyncIterator[int]:
    """Yield the port of a pooler with two server connections for all its clients."""
    port = free_port()
    file = folder / "pgbouncer.ini"
    file.write_text(
        f"[databases]\n* = host=127.0.0.1 port={database.server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\npool_mode = transaction\ndefault_pool_size = 2\nauth_type = any\nunix_socket_dir =\n"
        f"auth_file = {folder / 'users'}\nlogfile = {folder / 'pgbouncer.log'}\n"
    )
    (folder / "users").write_text(f'"{USER}" ""\n')
    file.write_text(file.read_text().replace("auth_type = any", "auth_type = trust"))
    options = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
        _let_pass(folder)
    program = find("pgbouncer")
    assert program is not None
    pooler = await asyncio.create_subprocess_exec(program, "-q", str(file), **options)  # type: ignore[arg-type]
    try:
        await until_listening(port)
        yield port
    finally:
        pooler.terminate()
        await pooler.wait()


def _let_pass(folder: Path) -> None:
    """Let others enter the folders above, which pytest makes private."""
    for parent in folder.parents:
        if "pytest" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o011)


@needs("pgbouncer")
async def test_a_pooler_in_transaction_mode_is_no_danger(database: PostgresRig, tmp_path: Path) -> None:
    """Three daemons' worth of reads and writes over two server connections: none meets another's session."""
    (tmp_path / "pooler").mkdir()
    async with pgbouncer(database, tmp_path / "pooler") as port:
        url = PostgresUrl.parse(f"postgresql://{USER}@127.0.0.1:{port}/{database.database}")
        settings = PostgresSettings(url=url, lease_ttl_seconds=9.0, is_pooled=True)
        journals = []
        for number in range(2):
            (tmp_path / str(number)).mkdir()
            journals.append(PostgresJournal(settings, state_dir=tmp_path / str(number), place="this machine"))
        old, new = journals
        await start(old)
        await old.append(Batch(entries=[entry()]))
        assert (await start(new))[1].epoch == 2

        async def write() -> None:
            for number in range(BATCHES):
                await new.append(
                    Batch(
                        entries=[entry(number=number)], snapshots=[host_state()], operations=[operation(number)],
                        outbox=[message(number)],
                    )
                )  # fmt: skip

        async def read() -> None:
            for _ in range(BATCHES):
                await new.outbox(limit=5, each=5)
                await new.operations(OperationsLike(), limit=5, after=None)

        async def meddle() -> None:
            for _ in range(BATCHES):
                with pytest.raises(EpochLost):
                    await old.append(Batch(entries=[entry()]))

        await asyncio.gather(write(), read(), read(), meddle())
        assert len(await new.entries(host=None, limit=100)) == BATCHES + 1
        said = [finding.what for finding in await check(settings)]
        assert "a pooler changes the session between transactions" not in said
        for journal in journals:
            await journal.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Make an authority, the server's certificate for 127.0.0.1, and the daemon's for the user of the database."""
    folder = tmp_path / "certificates"
    make_authority(folder)
    make_proxy(folder, name="db", addresses=["127.0.0.1"])
    make_daemon(folder, name=USER)
    return folder


@asynccontextmanager
async def with_tls(certificates: Path) -> AsyncIterator[Server]:
    with server((*FAST, "ssl=off")) as own:
        own.stop("fast")
        for name, source in (("server.crt", "db.crt"), ("server.key", "db.key"), ("root.crt", "ca.crt")):
            shutil.copy(certificates / source, own.data / name)
            (own.data / name).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(own.data / name, "nobody", "nogroup")
        (own.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 cert\n")
        own.options = (*FAST, "ssl=on", "ssl_ca_file=root.crt")
        own.start()
        yield own


async def test_a_client_certificate_opens_the_database(certificates: Path, tmp_path: Path) -> None:
    async with with_tls(certificates) as own:
        settings = PostgresSettings(
            url=PostgresUrl.parse(own.url("postgres")), lease_ttl_seconds=9.0, ca_file=certificates / "ca.crt",
            cert_file=certificates / f"{USER}.crt", key_file=certificates / f"{USER}.key",
        )  # fmt: skip
        journal = PostgresJournal(settings, state_dir=tmp_path, place="here")
        assert (await start(journal))[1].epoch == 1
        await journal.close()
        for change, reason in (
            ({"cert_file": None, "key_file": None}, "pg_hba.conf|certificate"),
            ({"ca_file": _other_authority(tmp_path)}, "certificate verify failed"),
        ):
            with pytest.raises(StoreError, match=reason):
                await PostgresJournal(replace(settings, **change), state_dir=tmp_path, place="here").open(
                    holder="fenced-a", now=1.0
                )


def _other_authority(tmp_path: Path) -> Path:
    make_authority(tmp_path / "other")
    return tmp_path / "other" / "ca.crt"
