"""Until when a server's certificate is valid, as its TLS handshake shows. Logs in nowhere and sends no request."""

import asyncio
import contextlib
import ssl


async def server_until(host: str, port: int, context: ssl.SSLContext, *, timeout_seconds: float) -> float | None:
    """Return the Unix time at which the certificate of a server ends. None: no handshake in time, or not accepted."""
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                found = writer.get_extra_info("peercert")
                return ssl.cert_time_to_seconds(found["notAfter"]) if found else None
            finally:
                writer.transport.abort()
    return None
