"""TLS to the broker: trusted CAs and the client certificate. TLS 1.2 or newer; host names are always checked."""

import ssl

from fenced.bus.errors import Unreachable, bounded
from fenced.bus.overriding import override
from fenced.bus.settings import BusSettings
from fenced.net.handshake import fault
from fenced.net.offer import explained


class _Socket(ssl.SSLSocket):
    """Closes the socket of a failed handshake, which paho leaves open."""

    @override
    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(settings: BusSettings) -> ssl.SSLContext:
    """Read the files again, so that a renewed certificate applies to the next connection. Raises Unreachable."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        if settings.cert_file:
            # The empty password keeps OpenSSL from prompting on a terminal for an encrypted key.
            context.load_cert_chain(settings.cert_file, settings.key_file or None, password=b"")
    except (OSError, ValueError) as exc:
        files = ", ".join(name for name in (settings.ca_file, settings.cert_file, settings.key_file) if name)
        raise Unreachable(f"can't use the TLS files ({files}): {bounded(exc)}") from exc
    return context


async def explanation(exc: BaseException, host: str, port: int) -> str:
    """Return why a connection failed. After a failed TLS handshake it asks the server once more for its offer."""
    found = fault(exc)
    return bounded(exc) if found is None else str(await explained(found, host, port))
