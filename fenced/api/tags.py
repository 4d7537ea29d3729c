"""Entity tags: a reader that shows the tag of its last answer gets 304 and no body while that answer still holds.

A tag is either of the engine's `version`, taken before the answer is made, so that nothing need be made to find that
nothing changed; or of the answer's own text, which is right whatever the answer depends on. All are weak (RFC 9110,
8.8.1): the same tag stands for every content coding.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web

HEADER: Final = "If-None-Match"
COMPRESSED_FROM_BYTES: Final = 4096
_TAG: Final = re.compile(r'\s*(?:W/)?"([^"]*)"\s*(?:,|$)')
_HEADERS: Final = {"Cache-Control": "no-cache, private", "Vary": "Authorization, Accept-Encoding"}
"""Ask each time, with the tag: a cache on the way keeps nothing, and nobody sees another one's answer."""


def tag_of(*parts: str) -> str:
    """Return the tag, without quotes."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


def is_known(request: web.Request, tag: str) -> bool:
    """Return whether the reader has the answer with this tag. `*`, which names none, counts for nothing here: a reader
    without the answer would get none."""
    given = ",".join(request.headers.getall(HEADER, ()))
    return tag in _TAG.findall(given)


def unchanged(tag: str) -> web.Response:
    """Return the 304."""
    return web.Response(status=int(HTTPStatus.NOT_MODIFIED), headers={**_HEADERS, "ETag": f'W/"{tag}"'})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """An answer as text with its tag; `packed`: the same, compressed, or nothing if that does not pay."""

    tag: str
    body: bytes
    packed: bytes = b""

    @classmethod
    def pack(cls, tag: str, body: bytes) -> "Tagged":
        """Compress it, fast rather than small."""
        packed = gzip.compress(body, compresslevel=1, mtime=0) if len(body) >= COMPRESSED_FROM_BYTES else b""
        return cls(tag=tag, body=body, packed=packed)

    def response(self, request: web.Request, *, status: int, media: str) -> web.Response:
        headers = {**_HEADERS, "ETag": f'W/"{self.tag}"'}
        if self.packed and _takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
        body = self.packed if "Content-Encoding" in headers else self.body
        return web.Response(body=body, status=status, content_type=media, charset="utf-8", headers=headers)


@dataclass(slots=True)
class Kept:
    """The last answer of each route whose answer is costly and the same for everyone."""

    answers: dict[str, Tagged] = field(default_factory=dict)

    def answer(self, route: str, tag: str) -> Tagged | None:
        found = self.answers.get(route)
        return found if found is not None and found.tag == tag else None


def _takes_gzip(request: web.Request) -> bool:
    for coding in ",".join(request.headers.getall("Accept-Encoding", ())).split(","):
        name, _, weight = coding.replace(" ", "").lower().partition(";")
        if name == "gzip":
            return weight not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
