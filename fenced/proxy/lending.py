"""Checks which programs and files of the proxy's machine a call names, and rejects those that the proxy does not lend.

Knows option names, no driver. The same error for missing and for forbidden files: a caller must not learn
which files this machine has.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fenced.model.inventory import DeviceSpec
from fenced.model.option_values import Lent, lent, plain
from fenced.net.given_files import is_readable
from fenced.ports.devices import BadParameters

CHECK_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loans:
    """`options`: allowed options that name a program or a connection. `dirs`: absolute; files below them are lent."""

    options: frozenset[str] = frozenset()
    dirs: tuple[str, ...] = ()


class Lending:
    """The current loans, replaced as a whole when the file is read again."""

    def __init__(self, proxy: str, loans: Loans) -> None:
        self._proxy, self._loans = proxy, loans

    def use(self, loans: Loans) -> None:
        """Use these from the next call on."""
        self._loans = loans

    async def check(self, spec: DeviceSpec, *, also: frozenset[str] = frozenset()) -> None:
        """Check a call.

        `spec`: as sent. `also`: options listed for its credential. Raises BadParameters, nothing started.
        """
        listed = {plain(name) for name in self._loans.options | also}
        for name, text in _named(spec):
            what = lent(name)
            if what is Lent.PROGRAM and plain(name) not in listed:
                raise self._bad(name, f"names {what.value}; to allow it, list it under options in the proxy's file")
            if what is Lent.FILE and text and not await self._is_lent(text):
                raise self._bad(name, f"names {what.value}, and no readable one below file_dirs of the proxy's file")

    async def _is_lent(self, path: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                return await asyncio.to_thread(is_readable, path, within=self._loans.dirs)
        except TimeoutError:
            return False

    def _bad(self, name: str, why: str) -> BadParameters:
        return BadParameters(f"proxy {self._proxy}: `{name[:64]}` {why}", may_be_done=False)


def _named(spec: DeviceSpec) -> Iterator[tuple[str, str]]:
    """Yield options and secrets: an agent reads both in the same way."""
    yield from ((name, str(value)) for name, value in spec.options.items() if value is not False)
    yield from ((name, secret.reveal()) for name, secret in spec.secrets)
