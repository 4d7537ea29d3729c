"""The test bed of rows with two controllers: real daemons over one PostgreSQL, which notes when the lease changes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.bench.ground import Device, Ground, Json, ground
from tests.e2e.bed import Api
from tests.e2e.programs import FENCED, Program, background
from tests.net import PATIENCE_SECONDS, free_port, until
from tests.postgres import Server

NAMES: Final = ("fenced-a", "fenced-b")
BEAT_SECONDS: Final = 0.25
MOMENTS: Final = """
CREATE SCHEMA bench;
CREATE TABLE bench.moments (what text, epoch bigint, at double precision);
CREATE FUNCTION bench.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO bench.moments VALUES (TG_ARGV[0], NEW.epoch, extract(epoch FROM clock_timestamp())); RETURN NULL;
END $$;
CREATE TRIGGER released AFTER UPDATE ON lease FOR EACH ROW WHEN (NEW.until = 0 AND OLD.until <> 0)
  EXECUTE FUNCTION bench.note('released');
CREATE TRIGGER taken AFTER UPDATE ON lease FOR EACH ROW WHEN (NEW.epoch <> OLD.epoch)
  EXECUTE FUNCTION bench.note('taken');
"""
"""Notes each release and taking with the database's clock, which is the one of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """One `fenced run`."""

    name: str
    program: Program
    api: Api

    async def start(self, *, seconds_max: float = PATIENCE_SECONDS) -> None:
        """Start it, and wait until it is ready."""
        await self.program.start()

        async def is_ready() -> bool:
            assert self.program.is_running, f"{self.name} ended:\n{self.program.log[-2000:]}"
            return await self.api.is_ready()

        await until(is_ready, seconds=seconds_max, what=f"{self.name} is ready")

    async def request_off(self, host: str, *, pause_seconds: float = 0.02) -> None:
        """Request off again and again, until this controller accepts it: a standby refuses."""
        body = {"action": "off", "force": True, "reason": "a measurement"}
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                if (await self.api.call("POST", f"hosts/{host}/actions", body=body)).status == 202:
                    return
            await asyncio.sleep(pause_seconds)


@dataclass(slots=True, kw_only=True)
class Pair:
    """Two controllers. `living`: the hosts that beat."""

    ground: Ground
    database: Server
    database_name: str
    controllers: tuple[Controller, Controller]
    living: set[str] = field(default_factory=set)
    _active: int = 0

    @property
    def active(self) -> Controller:
        return self.controllers[self._active]

    @property
    def standby(self) -> Controller:
        return self.controllers[1 - self._active]

    def swap(self) -> None:
        """Note that the standby became the active one."""
        self._active = 1 - self._active

    async def both_fit(self) -> None:
        """Wait until the active one knows the other as a fit standby. Start that if it has ended."""
        if not self.standby.program.is_running:
            await self.standby.start()

        async def is_fit() -> bool:
            items = (await self.active.api.get("controllers"))["items"]
            return any(it["name"] == self.standby.name and it["state"] == "standby" and it["fit"] for it in items)

        await until(is_fit, what=f"{self.standby.name} is a fit standby")

    async def moment(self, what: str, *, since: float) -> float:
        """Return when the lease was first `released` or `taken` after a moment."""
        rows = await self.rows(f"SELECT min(at) FROM bench.moments WHERE what = '{what}' AND at > {since!r}")
        assert rows[0][0] is not None, f"the lease was not {what}"
        return float(rows[0][0])

    async def rows(self, query: str) -> Sequence[Any]:
        connection = await self.database.connect(self.database_name)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def off_at(self, host: str, *, seconds: float) -> float:
        """Wait until the plug of this host is switched off; return when that was, on the wall clock."""
        agent, found = self.ground.agent, []

        def is_off() -> bool:
            at = agent.off_at(plug_of(host))
            found.extend([at] if at is not None else [])
            return bool(found)

        await until(is_off, seconds=seconds, what=f"{host} is switched off")
        return found[0]

    async def beat(self) -> None:
        """Let the living beat until cancelled."""
        while True:
            self.ground.beat(*self.living)
            await asyncio.sleep(BEAT_SECONDS)


def plug_of(host: str) -> str:
    return f"plug-{host}"


@contextlib.asynccontextmanager
async def pair(
    folder: Path, hosts: Mapping[str, Sequence[Device]], database: Server, *, lease_ttl: str,
    tables: Mapping[str, Json],
) -> AsyncIterator[Pair]:  # fmt: skip
    """Yield them with `fenced-a` active and `fenced-b` a fit standby."""
    name = await database.new_database()
    changes = {**tables, "store": {"url": database.url(name), "lease_ttl": lease_ttl}}
    async with aiohttp.ClientSession() as session, ground(folder, hosts, tables=changes) as it:
        await database.execute(MOMENTS, name)
        second = second_of(it, Path(folder, NAMES[1]), session)
        made = Pair(ground=it, database=database, database_name=name, controllers=(first_of(it), second))
        try:
            await made.both_fit()
            async with background(made.beat(), "beats"):
                yield made
        finally:
            await second.program.kill()


def first_of(it: Ground) -> Controller:
    """Return the daemon of the ground as a controller."""
    return Controller(name=NAMES[0], program=it.daemon, api=it.api)


def second_of(it: Ground, folder: Path, session: aiohttp.ClientSession) -> Controller:
    """Return the same daemon with a name, a state directory and an API of its own."""
    port = free_port()
    folder.mkdir()
    configuration = it.configuration.copy()
    configuration.directory = folder
    configuration.change("daemon", name=NAMES[1], state_dir=str(folder / "state"))
    configuration.change("api", listen=f"127.0.0.1:{port}")
    file = configuration.write()
    program = Program([*FENCED, "run", "-c", str(file)], log=folder / "daemon.log")
    return Controller(name=NAMES[1], program=program, api=Api(port, session))


@contextlib.asynccontextmanager
async def event_stream(api: Api, session: aiohttp.ClientSession, kind: str) -> AsyncIterator[dict[str, float]]:
    """Yield when the event stream of a controller first showed such an event of each host, on the wall clock."""
    seen: dict[str, float] = {}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
    async with session.get(f"{api.url}/api/v1/events", timeout=timeout) as response:

        async def read() -> None:
            async for line in response.content:
                if line.startswith(b"data: ") and kind.encode() in line:
                    event = json.loads(line[len(b"data: ") :])
                    seen.setdefault(event["subject"], time.time())

        async with background(read(), "event stream"):
            yield seen
