"""Servers with the TLS of old BMCs: by `ssl`, which hangs up, and by openssl's s_server, which sends alerts."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fenced.net.handshake import loosen
from tests.needs import find
from tests.net import free_port

RSA_ONLY = "AES128-SHA:AES256-SHA:@SECLEVEL=0"


def old_context(certificate: Path, key: Path, newest: ssl.TLSVersion, *, ciphers: str = "") -> ssl.SSLContext:
    """Return the context of a server without newer TLS, with these ciphers (all by default)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    loosen(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.maximum_version = newest
    if ciphers:
        context.set_ciphers(ciphers)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def s_server(certificate: Path, key: Path, *arguments: str) -> AsyncIterator[int]:
    """Run `openssl s_server` with these arguments; yield its port."""
    program, port = find("openssl"), free_port()
    assert program is not None
    running = await asyncio.create_subprocess_exec(
        program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate), "-key", str(key), "-quiet",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                break
        yield port
    finally:
        running.kill()
        await running.wait()
