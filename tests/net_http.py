"""Raw HTTP: sends bytes over a socket and receives until the other side hangs up."""

import asyncio
import contextlib
import re
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`statuses` in order; `is_closed`: the other side hung up by itself."""

    statuses: tuple[int, ...]
    text: str
    is_closed: bool


async def say(port: int, *parts: bytes, pause: float = 0.0, patience: float = 5.0, host: str = "127.0.0.1") -> Heard:
    """Send the parts; receive until the other side hangs up, or nothing comes for `patience` seconds."""
    reader, writer = await asyncio.open_connection(host, port)
    got = bytearray()

    async def listen() -> None:
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(65536):
                got.extend(more)

    listening = asyncio.create_task(listen(), name="listening")
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    heard = -1
    while not listening.done() and len(got) > heard:
        heard = len(got)
        await asyncio.wait([listening], timeout=patience)
    is_closed = listening.done()
    listening.cancel()
    writer.transport.abort()
    text = got.decode("latin-1")
    return Heard(statuses=tuple(map(int, re.findall(r"HTTP/1\.[01] (\d{3})", text))), text=text, is_closed=is_closed)


def request(
    method: str, path: str, *headers: str, body: bytes = b"", length: int | None = None, is_chunked: bool = False
) -> bytes:
    """Return a request. `length`: a Content-Length that may differ from the body's."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if is_chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b""
    elif body or length is not None:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def bomb(kilobytes: int) -> bytes:
    """Return a gzip body of about that many kilobytes that unpacks to a thousand times as much."""
    packer = zlib.compressobj(9, wbits=31)
    megabyte = bytes(1_000_000)
    return b"".join(packer.compress(megabyte) for _ in range(kilobytes)) + packer.flush()
