"""SIGHUP: reload the configuration as a whole. A file with a mistake is reported and changes nothing.

A reload is refused if it removes a host that has a running operation or was left off, or changes a key that needs a
restart. The core decides about hosts; `config.difference` about keys.
"""

import asyncio
from collections.abc import Callable

import structlog

from fenced.app.last_reload import LastReload, why_refused, why_restart
from fenced.config.configuration import Configuration
from fenced.config.difference import difference, needs_restart
from fenced.config.load import Loaded
from fenced.core import events as e
from fenced.engine.engine import Engine
from fenced.host import memory
from fenced.host.notify import Notify
from fenced.model.answers import RefusedBy

log = structlog.get_logger("fenced")


class Reloader:
    """`read` loads the file; `connect` names the engine and the parts that use the new configuration."""

    def __init__(self, configuration: Configuration, read: Callable[[], Loaded]) -> None:
        self._configuration, self._read = configuration, read
        self._asked = asyncio.Event()
        self._engine: Engine | None = None
        self._reloaded: Callable[[Configuration], None] | None = None
        self.last = LastReload()

    def connect(self, engine: Engine, reloaded: Callable[[Configuration], None]) -> None:
        self._engine, self._reloaded = engine, reloaded

    def ask(self) -> None:
        """Request a reload; the handler of SIGHUP."""
        self._asked.set()

    async def run(self, notify: Notify) -> None:
        """Run until cancelled."""
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
                self.last.succeeded()
            self._engine.reactor.deliver(e.ReloadEnded(refused=why))
            notify.ready(self.last.status(status(self._engine)))

    async def _take(self, loaded: Loaded) -> str:
        """Apply the configuration. Return why it was refused, or "" if it is in force."""
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
    """Return the daemon's status in one line, for systemd."""
    fleet = engine.fleet
    return f"{len(fleet.hosts)} hosts, {'armed' if fleet.is_armed_durably else 'not armed'}"
