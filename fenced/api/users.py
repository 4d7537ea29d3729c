"""Names of users for the journal, from the machine's user database.

The database may be on the network, so a lookup runs in a thread and has a deadline. A name proves nothing that the user
id does not prove: without an answer the journal shows the id alone.
"""

import asyncio
import pwd
from typing import Final

LOOKUP_SECONDS: Final = 2.0
KEPT_SECONDS: Final = 60.0
KEPT_MAX: Final = 256
NAME_CHARACTERS_MAX: Final = 32


class Users:
    """Answers are kept for a minute, missing ones included, so that a slow database holds few threads."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[float, str]] = {}

    async def name(self, uid: int) -> str:
        """Return the user's name, or "" if there is none, it can't be shown, or the lookup takes too long."""
        now = asyncio.get_running_loop().time()
        at, name = self._kept.get(uid, (float("-inf"), ""))
        if now - at <= KEPT_SECONDS:
            return name
        self._keep(uid, now, name)  # requests of the same user that come meanwhile start no further lookup
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                name = await asyncio.to_thread(_name, uid)
        except TimeoutError:
            return ""
        self._keep(uid, now, name)
        return name

    def _keep(self, uid: int, now: float, name: str) -> None:
        if uid not in self._kept and len(self._kept) >= KEPT_MAX:
            self._kept.pop(min(self._kept, key=lambda kept: self._kept[kept][0]))
        self._kept[uid] = (now, name)


def _name(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return ""
    is_plain = len(name) <= NAME_CHARACTERS_MAX and name.isascii() and name.isprintable() and not set(name) & set("() ")
    return name if is_plain else ""
