"""SIGHUP: the configuration is read again, whole or not at all. What is wrong is logged and nothing changes.

Refused when it removes a host with an operation under way or left off, or changes what only a restart can take over.
"""

import asyncio
from collections.abc import Callable

import structlog

from fenced.config.configuration import Configuration
from fenced.config.difference import difference, needs_restart, removed_hosts
from fenced.config.load import Loaded
from fenced.core import events as e
from fenced.engine.engine import Engine, busy_hosts
from fenced.host.notify import Notify

log = structlog.get_logger("fenced")


class Reloader:
    """`read` loads the file again; `connect` says who takes the result."""

    def __init__(self, configuration: Configuration, read: Callable[[], Loaded]) -> None:
        self._configuration, self._read = configuration, read
        self._asked = asyncio.Event()
        self._engine: Engine | None = None
        self._reloaded: Callable[[Configuration], None] | None = None

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
            notify.reloading()
            loaded = await asyncio.to_thread(self._read)
            self._take(loaded)
            notify.ready()

    def _take(self, loaded: Loaded) -> None:
        assert self._engine is not None and self._reloaded is not None
        for warning in loaded.warnings:
            log.warning("configuration_warning", warning=str(warning))
        if loaded.configuration is None:
            for error in loaded.errors:
                log.error("configuration_mistake", mistake=str(error))
            log.error("reload_refused", reason=f"{len(loaded.errors)} errors; the old configuration stays in force")
            return
        new = loaded.configuration
        why = self._why_not(new)
        if why is not None:
            log.error("reload_refused", reason=why)
            return
        for line in difference(self._configuration, new):
            log.info("configuration_changed", change=line)
        self._engine.reactor.deliver(e.InventoryRead(inventory=new.inventory))
        self._reloaded(new)
        self._configuration = new
        log.info("reloaded", hosts=len(new.inventory.hosts))

    def _why_not(self, new: Configuration) -> str | None:
        assert self._engine is not None
        restart = needs_restart(self._configuration, new)
        if restart:
            return f"{', '.join(restart)} changed: that needs a restart"
        gone = removed_hosts(self._configuration.inventory, new.inventory)
        busy = sorted(str(state.name) for state in busy_hosts(self._engine.fleet) if state.name in gone)
        if busy:
            return f"it removes {', '.join(busy)}, with an operation under way or left off"
        for state in busy_hosts(self._engine.fleet):
            before, after = self._engine.fleet.host(state.name), new.inventory.hosts[state.name]
            lost = {device.name for device in before.devices} - {device.name for device in after.devices}
            if lost:
                return f"it removes {', '.join(sorted(lost))} of {state.name}, with an operation under way or left off"
        return None
