"""Reload the configuration as a whole, on SIGHUP or on request. A file with a mistake is reported and changes nothing.

A reload is refused if it removes a host that has a running operation or was left off, or changes a key that needs a
restart. The core decides about hosts; `config.difference` about keys. Whatever reading raises, the daemon goes on with
the configuration that it has.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from fenced.app.last_reload import LastReload, why_refused, why_restart
from fenced.config.configuration import Configuration
from fenced.config.difference import difference, kept_until_restart, needs_restart
from fenced.config.load import Loaded
from fenced.config.mistakes import Mistake
from fenced.core import events as e
from fenced.core.readiness.of_host import opened_by
from fenced.core.readiness.values import HOSTS_NAMED_MAX
from fenced.engine.engine import Engine
from fenced.host import memory
from fenced.host.notify import Notify
from fenced.model.answers import RefusedBy
from fenced.model.names import HostName
from fenced.model.text import some
from fenced.ports.control import Unavailable
from fenced.ports.reloading import Flaw, OtherFile, ReloadVerdict

log = structlog.get_logger("fenced")

Judge = Callable[[Configuration], tuple[str, tuple[str, ...]]]
"""Return why a new configuration must be refused, or "", and warnings."""


class Target(Protocol):
    """The engines that a reload changes."""

    def opened_by(self, new: Configuration) -> tuple[HostName, ...]:
        """Return the silent hosts that may be fenced at once under the new configuration, and not under this one."""
        ...

    async def take(self, new: Configuration) -> RefusedBy | None:
        """Use the new inventory, or return why not; then nothing has changed."""
        ...

    def ended(self, refused: str) -> None:
        """Tell that a reload ended: `refused` says why nothing changed; "" if it is in force."""
        ...

    def status(self) -> str:
        """Return the daemon's status in one line, for systemd."""
        ...


class OneEngine:
    """The target of a daemon that serves one shard."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def opened_by(self, new: Configuration) -> tuple[HostName, ...]:
        return opened_by(self._engine.fleet, new.inventory)

    async def take(self, new: Configuration) -> RefusedBy | None:
        answer = await self._engine.reactor.ask(e.InventoryRead(inventory=new.inventory))
        return answer if isinstance(answer, RefusedBy) else None

    def ended(self, refused: str) -> None:
        self._engine.reactor.deliver(e.ReloadEnded(refused=refused))

    def status(self) -> str:
        return status((self._engine,))


class Reloader:
    """`read` loads the file; `connect` names the engines and the parts that use the new configuration."""

    def __init__(self, configuration: Configuration, read: Callable[[], Loaded]) -> None:
        self._configuration, self._read = configuration, read
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[ReloadVerdict]] = []
        self._is_ended = False
        self._target: Target | None = None
        self._reloaded: Callable[[Configuration], None] | None = None
        self._judge: Judge | None = None
        self.last = LastReload()

    @property
    def configuration(self) -> Configuration:
        """The one in force."""
        return self._configuration

    def connect(self, target: Target, reloaded: Callable[[Configuration], None], *, judge: Judge | None = None) -> None:
        """`judge` reads certificates; it runs in a thread."""
        self._target, self._reloaded, self._judge = target, reloaded, judge

    def ask(self) -> None:
        """Request a reload; the handler of SIGHUP."""
        self._asked.set()

    async def reload(self, file: str = "") -> ReloadVerdict:
        """Reload, and return the verdict on what was read after this call. `file`: the one that the caller means.

        Raises OtherFile, and Unavailable while the daemon stops.
        """
        if file and not await asyncio.to_thread(_are_same, file, str(self._configuration.file)):
            raise OtherFile(f"this daemon reads {self._configuration.file}, not {file}")
        if self._is_ended:
            raise Unavailable("the daemon is stopping")
        verdict: asyncio.Future[ReloadVerdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(verdict)
        self._asked.set()
        return await verdict

    async def run(self, notify: Notify) -> None:
        """Run until cancelled."""
        waiting: list[asyncio.Future[ReloadVerdict]] = []
        self._is_ended = False
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                waiting, self._waiting = self._waiting, []
                assert self._target is not None
                notify.reloading()
                verdict = await self._verdict()
                if verdict.refused:
                    log.error("reload_refused", reason=verdict.refused)
                    self.last.refused(verdict.refused)
                else:
                    self.last.succeeded()
                self._target.ended(verdict.refused)
                notify.ready(self.last.status(self._target.status()))
                _answer(waiting, verdict)
        finally:
            self._is_ended = True
            for asked in (*waiting, *self._waiting):
                if not asked.done():
                    asked.set_exception(Unavailable("the daemon is stopping"))

    async def _verdict(self) -> ReloadVerdict:
        try:
            return await self._take(await asyncio.to_thread(self._load))
        except Exception as exc:  # border: what reading a configuration raises must not end the daemon
            log.exception("reload_failed")
            return ReloadVerdict(
                refused=f"it failed unexpectedly with {type(exc).__name__}; the log has the traceback, please report it"
            )

    def _load(self) -> Loaded:
        try:
            return self._read()
        except SystemExit as exc:  # it would end the event loop, too
            raise RuntimeError("reading the configuration tried to end the program") from exc

    async def _take(self, loaded: Loaded) -> ReloadVerdict:
        """Apply the configuration if it can be applied."""
        assert self._target is not None and self._reloaded is not None
        warnings = tuple(map(str, loaded.warnings))
        for warning in warnings:
            log.warning("configuration_warning", warning=warning)
        if loaded.configuration is None:
            for error in loaded.errors:
                log.error("configuration_mistake", mistake=str(error))
            return ReloadVerdict(
                refused=why_refused(loaded.errors), flaws=tuple(map(_flaw, loaded.errors)), warnings=warnings
            )
        new = loaded.configuration
        restart = needs_restart(self._configuration, new)
        if restart:
            return ReloadVerdict(refused=why_restart(restart), restart=restart, warnings=warnings)
        expired, doubts = await asyncio.to_thread(self._judge, new) if self._judge is not None else ("", ())
        for doubt in doubts:
            log.warning("configuration_warning", warning=doubt)
        warnings = (*warnings, *doubts)
        if expired:
            return ReloadVerdict(refused=expired, warnings=warnings)
        warnings += _fences_at_once(self._target.opened_by(new))
        if (refused := await self._target.take(new)) is not None:
            return ReloadVerdict(refused=refused.why, warnings=warnings)
        changes, kept = difference(self._configuration, new), kept_until_restart(self._configuration, new)
        for line in changes:
            log.info("configuration_changed", change=line)
        if kept:
            log.warning("configuration_needs_restart", keys=kept)
        self._reloaded(new)
        memory.give_back()
        self._configuration = new
        log.info("reloaded", hosts=len(new.inventory.hosts))
        return ReloadVerdict(changes=changes, warnings=warnings, restart=kept)


def _fences_at_once(silent: tuple[HostName, ...]) -> tuple[str, ...]:
    if not silent:
        return ()
    warning = f"silent hosts that may be fenced at once now: {some(silent, HOSTS_NAMED_MAX)}"
    log.warning("reload_arms", silent=len(silent), hosts=list(silent[:HOSTS_NAMED_MAX]))
    return (warning,)


def _are_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)  # unlike Path.resolve it raises nothing


def _flaw(mistake: Mistake) -> Flaw:
    value = f" = {mistake.value}" if mistake.value else ""
    place = f"{mistake.file}: {mistake.path}{value}" if mistake.path else mistake.file
    return Flaw(place=place, reason=mistake.reason)


def _answer(waiting: list[asyncio.Future[ReloadVerdict]], verdict: ReloadVerdict) -> None:
    for asked in waiting:
        if not asked.done():  # the caller may have left
            asked.set_result(verdict)


def status(engines: Sequence[Engine]) -> str:
    """Return the status of a daemon with these engines in one line, for systemd."""
    hosts = sum(len(engine.fleet.hosts) for engine in engines)
    is_armed = all(engine.fleet.is_armed_durably for engine in engines)
    return f"{hosts} hosts, {'armed' if is_armed else 'not armed'}"
