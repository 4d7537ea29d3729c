"""How the broker is reached: plain values, and the reading of a bus URL. Knows nothing of files or of what is sent."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from fenced.model.addresses import is_loopback
from fenced.model.inventory import Secret

Scheme = Literal["mqtt", "mqtts", "embedded"]
DEFAULT_PORTS: Final[dict[Scheme, int]] = {"mqtt": 1883, "mqtts": 8883, "embedded": 1883}


@dataclass(frozen=True, slots=True, kw_only=True)
class BusUrl:
    """`mqtt://HOST:PORT`, `mqtts://HOST:PORT` (TLS) or `embedded://HOST:PORT` (the built-in broker, loopback only)."""

    scheme: Scheme
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "BusUrl":
        """Raises ValueError with the reason. User names and passwords in the URL are refused: they would be seen."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"not a bus URL: {exc}") from exc
        if parts.username is not None or parts.password is not None:
            raise ValueError("a bus URL holds no user name or password: use username and password_file")
        scheme = _scheme(parts.scheme)
        host = parts.hostname or ""
        if not host:
            raise ValueError("a bus URL needs a host: mqtt://HOST:1883")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("a bus URL ends after the port")
        if port == 0:
            raise ValueError("port 0 is none")
        if scheme == "embedded" and not is_loopback(host):
            raise ValueError(
                "the embedded broker asks nobody for a password: only a loopback address is allowed, as embedded://127.0.0.1:1883"
            )
        return cls(scheme=scheme, host=host, port=port or DEFAULT_PORTS[scheme])


def _scheme(text: str) -> Scheme:
    match text:
        case "mqtt" | "mqtts" | "embedded":
            return text
        case _:
            raise ValueError("a bus URL begins with mqtt://, mqtts:// or embedded://")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """One connection to one broker. The defaults notice a frozen broker within half of the default grace.

    `publishes_max`: unacknowledged messages at once; more wait for their turn until their own deadline.
    `payload_bytes_max`: longer incoming messages are dropped and counted; they were read into memory by then, so the
    broker should have a limit of its own (Mosquitto: message_size_limit).
    """

    host: str
    port: int
    site: str
    client_id: str
    is_tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password: Secret | None = None
    keepalive_seconds: int = 5
    connect_timeout_seconds: float = 5.0
    reconnect_min_seconds: float = 0.5
    reconnect_max_seconds: float = 30.0
    stable_after_seconds: float = 10.0
    publishes_max: int = 200
    is_version_5_tried: bool = True
    payload_bytes_max: int = 64 * 1024
