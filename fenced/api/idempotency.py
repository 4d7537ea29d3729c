"""Reads the header `Idempotency-Key` of a request that changes something.

A client whose answer was lost, as at a takeover, repeats the request with the same key at the controller that acts now.
The engine obeys it once. Only digests are stored: a key is of one caller, and says nothing to others.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from fenced.api import shapes
from fenced.api.callers import Principal
from fenced.api.problems import unprocessable

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`caller`: a digest of the caller and its key; `content`: a digest of method, path and body."""

    caller: str
    content: str


async def key_of(request: web.Request, principal: Principal) -> Key | None:
    """Return the key of a request, or None without one. The body was read. Raises Rejection."""
    given = request.headers.get(HEADER)
    if given is None:
        return None
    if _KEY.fullmatch(given) is None:
        reason = "must have 1 to 128 printable ASCII characters without spaces"
        raise unprocessable(shapes.Fault(path=HEADER, reason=reason))
    who = f"{principal.by('')}\n{given}".encode()
    what = f"{request.method} {request.path}\n".encode() + await request.read()  # aiohttp keeps what the border read
    return Key(caller=f"key {hashlib.sha256(who).hexdigest()}", content=hashlib.sha256(what).hexdigest())
