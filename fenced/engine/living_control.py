"""The control of one shard over all lives of its engine.

An engine begins a new life after a hand-over or a lost lease. A request that comes in between waits for the next life.
What only looks is answered by the last one.
"""

import asyncio
import functools
import inspect
from typing import Any, Final, cast

from fenced.ports.control import Control, NotFound, Unavailable

WAIT_SECONDS: Final = 10.0
"""How long a request waits for the next life."""


class LivingControl:
    """Passes each call of the port on to the control of the life that runs."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._last: Control | None = None
        self._is_alive = asyncio.Event()
        self._keyed_by: tuple[str, str] | None = None
        self._of: LivingControl = self

    def begin(self, control: Control) -> None:
        """Pass calls on to this control from now on."""
        self._last = control
        self._is_alive.set()

    def end(self) -> None:
        """Let requests wait for the next life."""
        self._is_alive.clear()

    def as_port(self) -> Control:
        """Return this as the port that it implements call by call."""
        return cast("Control", self)

    def keyed(self, key: str, content: str) -> Control:
        one = LivingControl(self._shard)
        one._of, one._keyed_by = self._of, (key, content)
        return one.as_port()

    def of_shard(self, shard: str) -> Control:
        if shard != self._shard:
            raise NotFound(f"no shard {shard} here: this is {self._shard}")
        return self.as_port()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._control, name)
        if inspect.iscoroutinefunction(found):
            return functools.partial(self._in_next_life, name)
        return found

    @property
    def _control(self) -> Control:
        last = self._of._last
        assert last is not None, "the API is served once the first life has begun"
        return last if self._keyed_by is None else last.keyed(*self._keyed_by)

    async def _in_next_life(self, name: str, *args: Any, **named: Any) -> Any:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._of._is_alive.wait()
        except TimeoutError as exc:
            raise Unavailable(f"shard {self._shard} is about to begin anew here; try again in some seconds") from exc
        return await getattr(self._control, name)(*args, **named)
