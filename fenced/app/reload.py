"""SIGHUP: the configuration is read again, whole or not at all. What is wrong is told and nothing changes.

Refused when it removes a host with an operation under way or left off, or changes what only a restart can take over.
"""

import asyncio
from collections.abc import Callable

import structlog

from fenced.app.last_reload import LastReload, why_refused, why_restart
from fenced.config.configuration import Configuration
from fenced.config.difference import difference, needs_restart
from fenced.config.load import Loaded
from fenced.core import events as e
from fenced.core.operation.requests import RefusedBy
from fenced.engine.engine import Engine
from fenced.host import memory
from fenced.host.notify import Notify

log = structlog.get_logger("fenced")


class Reloader:
    """`read` loads the file again; `connect` says who takes the result."""

    def __init__(self, configuration: Configuration, read: Callable[[], Loaded]) -> None:
        self._configuration, self._read = configuration, read
        self._asked = asyncio.Event()
        self._engine: Engine | None = None
        self._reloaded: Callable[[Configuration], None] | None = None
        self.last = LastReload()

    def connect(self, engine: Engine, reloaded: Callable[[Configuration], None]) -> None:
        self._engine, self._reloaded = engine, reloaded

    def ask(self) -> None:
        """The signal's handler."""
        self._asked.set()

    async def run(self, notify: Notify) -> None:
        """For ever; ends by cancellation."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            assert self._engine is not None
            notify.reloading()
            loaded = await asyncio.to_thread(self._read)
            why = await self._take(loaded)
            if why:
                log.error("reload_refused", reason=why)
                self.last.refused(why)
            else:
                self.last.taken()
            self._engine.reactor.deliver(e.ReloadEnded(refused=why))
            notify.ready(self.last.status(status(self._engine)))

    async def _take(self, loaded: Loaded) -> str:
        """Why it is refused; "" when it is in force."""
        assert self._engine is not None and self._reloaded is not None
        for warning in loaded.warnings:
            log.warning("configuration_warning", warning=str(warning))
        if loaded.configuration is None:
            for error in loaded.errors:
                log.error("configuration_mistake", mistake=str(error))
            return why_refused(loaded.errors)
        new = loaded.configuration
        restart = needs_restart(self._configuration, new)
        if restart:
            return why_restart(restart)
        answer = await self._engine.reactor.ask(e.InventoryRead(inventory=new.inventory))
        if isinstance(answer, RefusedBy):
            return answer.why
        for line in difference(self._configuration, new):
            log.info("configuration_changed", change=line)
        self._reloaded(new)
        memory.give_back()
        self._configuration = new
        log.info("reloaded", hosts=len(new.inventory.hosts))
        return ""


def status(engine: Engine) -> str:
    """The daemon in one line, for systemd."""
    fleet = engine.fleet
    return f"{len(fleet.hosts)} hosts, {'armed' if fleet.is_armed else 'not armed'}"
