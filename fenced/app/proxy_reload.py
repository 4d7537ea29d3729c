"""SIGHUP at the proxy agent: reload its file as a whole. A file with a mistake is reported and changes nothing.

A reload applies the allowed callers, certificates, stored credentials, the options and files that calls may use, and
[look]. Any other change needs a restart and is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from typing import Final

import structlog

from fenced.app.last_reload import LastReload, why_refused, why_restart
from fenced.config.agent_files import LoadedProxy
from fenced.config.configuration import ProxyConfiguration
from fenced.host.notify import Notify
from fenced.proxy.lending import Loans
from fenced.proxy.renewal import Change
from fenced.proxy.tls import TlsFiles

SERVING: Final = "serving calls"
_RELOADED: Final = frozenset(
    {"allow", "credentials", "options", "file_dirs", "look", "tls_cert_file", "tls_key_file", "client_ca_file"}
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


class ProxyReloader:
    """`read` loads the file."""

    def __init__(self, configuration: ProxyConfiguration, read: Callable[[], LoadedProxy], notify: Notify) -> None:
        self._configuration, self._read, self._notify = configuration, read, notify
        self._asked = asyncio.Event()
        self.last = LastReload()

    def ask(self) -> None:
        """Request a reload; the handler of SIGHUP."""
        self._asked.set()

    async def changes(self) -> AsyncIterator[Change]:
        """Yield each valid new configuration after its signal; runs until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._notify.reloading()
            change = self._change(await asyncio.to_thread(self._read))
            if change is not None:
                yield change
            self._notify.ready(self.last.status(SERVING))

    def _change(self, loaded: LoadedProxy) -> Change | None:
        """Return the change, or None if it is refused."""
        for warning in loaded.warnings:
            _log.warning("configuration warning", warning=str(warning))
        new = loaded.configuration
        if new is None:
            for error in loaded.errors:
                _log.error("configuration mistake", mistake=str(error))
            self._ended(why_refused(loaded.errors))
            return None
        restart = [*needs_restart(self._configuration, new)]
        if restart:
            self._ended(why_restart(restart))
            return None
        return Change(
            allow=new.allow,
            credentials=new.credentials,
            loans=loans(new),
            look=new.look,
            tls=tls_files(new),
            ended=self._ended,
        )

    def _ended(self, refused: str) -> None:
        if refused:
            _log.error("reload refused", reason=refused)
            self.last.refused(refused)
        else:
            self.last.succeeded()


def needs_restart(old: ProxyConfiguration, new: ProxyConfiguration) -> list[str]:
    """Return the changed keys that only a restart can apply."""
    names = (field.name for field in fields(ProxyConfiguration) if field.name not in _RELOADED)
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    return [*changed, *(["tls"] if (tls_files(old) is None) != (tls_files(new) is None) else [])]


def loans(configuration: ProxyConfiguration) -> Loans:
    """Return the options and files of this machine that calls may use."""
    return Loans(options=configuration.options, dirs=tuple(map(str, configuration.file_dirs)))


def tls_files(configuration: ProxyConfiguration) -> TlsFiles | None:
    """Return the TLS files, or None on a loopback address; a checked configuration has all of them or none."""
    files = (configuration.client_ca_file, configuration.tls_cert_file, configuration.tls_key_file)
    ca_file, cert_file, key_file = files
    if ca_file is None or cert_file is None or key_file is None:
        return None
    return TlsFiles(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
