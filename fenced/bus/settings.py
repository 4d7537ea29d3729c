"""The settings of the connection to the broker, and the parser of a bus URL. It reads no files and sends nothing."""

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
        """Raises ValueError with the reason. A user name or password in the URL is refused: logs would show it."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"not a bus URL: {exc}; write for example mqtt://HOST:1883") from exc
        if parts.username is not None or parts.password is not None:
            raise ValueError("a bus URL must hold no user name or password; use username and password_file")
        scheme = _scheme(parts.scheme)
        host = parts.hostname or ""
        if not host:
            raise ValueError("a bus URL needs a host; write for example mqtt://HOST:1883")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("a bus URL ends after the port; remove the rest")
        if port == 0:
            raise ValueError("port 0 can't be reached; give the broker's port")
        if scheme == "embedded" and not is_loopback(host):
            raise ValueError(
                "the embedded broker requires no password, so it may only use a loopback address; "
                "write for example embedded://127.0.0.1:1883"
            )
        return cls(scheme=scheme, host=host, port=port or DEFAULT_PORTS[scheme])


def _scheme(text: str) -> Scheme:
    match text:
        case "mqtt" | "mqtts" | "embedded":
            return text
        case _:
            raise ValueError("a bus URL must begin with mqtt://, mqtts:// or embedded://")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """One connection to one broker. The defaults detect a frozen broker within half of the default grace.

    `publishes_max`: unacknowledged messages in flight; further ones wait until their own deadline.
    `payload_bytes_max`: longer incoming messages are dropped and counted. They are in memory by then, so limit them at
    the broker, too (Mosquitto: message_size_limit).
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
