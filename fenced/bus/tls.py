"""TLS of the connection to the broker: who we trust, and who we are. TLS 1.2 or newer, host names always checked."""

import ssl

from fenced.bus.errors import Unreachable, bounded
from fenced.bus.overriding import override
from fenced.bus.settings import BusSettings
from fenced.net.handshake import fault
from fenced.net.offer import explained


class _Socket(ssl.SSLSocket):
    """paho leaves the socket of a failed handshake open."""

    @override
    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(settings: BusSettings) -> ssl.SSLContext:
    """Reads the files anew, so that a renewed certificate counts from the next connection on. Raises Unreachable."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        if settings.cert_file:
            # An encrypted key must not make a daemon ask at a terminal that it does not have.
            context.load_cert_chain(settings.cert_file, settings.key_file or None, password=b"")
    except (OSError, ValueError) as exc:
        files = ", ".join(name for name in (settings.ca_file, settings.cert_file, settings.key_file) if name)
        raise Unreachable(f"TLS files ({files}): {bounded(exc)}") from exc
    return context


async def told(exc: BaseException, host: str, port: int) -> str:
    """Why no connection came about; of a TLS handshake with what the broker offers, for which it is asked once more."""
    found = fault(exc)
    return bounded(exc) if found is None else str(await explained(found, host, port))
