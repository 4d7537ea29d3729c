"""The URL of a broker: `mqtt://HOST:PORT`, `mqtts://` for TLS, `embedded://` for the daemon's built-in broker."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from fenced.model.addresses import is_loopback

BusScheme = Literal["mqtt", "mqtts", "embedded"]
DEFAULT_PORTS: Final[dict[BusScheme, int]] = {"mqtt": 1883, "mqtts": 8883, "embedded": 1883}


@dataclass(frozen=True, slots=True, kw_only=True)
class BusUrl:
    """Raises ValueError for a built-in broker off loopback: it accepts every client that reaches it."""

    scheme: BusScheme
    host: str
    port: int

    def __post_init__(self) -> None:
        if self.scheme == "embedded" and not is_loopback(self.host):
            raise ValueError(
                "the built-in broker checks no password: use a loopback address, as embedded://127.0.0.1:1883"
            )

    @classmethod
    def parse(cls, text: str) -> "BusUrl":
        """Raises ValueError with the reason. Refuses a user name or password in the URL, where others would see it."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as exc:
            raise ValueError("must be mqtt://HOST:PORT, mqtts://HOST:PORT or embedded://HOST:PORT") from exc
        if parts.username is not None or parts.password is not None:
            raise ValueError("a secret is never written inline: use username and password_file")
        scheme = _scheme(parts.scheme)
        if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError(f"must be {scheme}://HOST:PORT")
        if port == 0:
            raise ValueError("port 0 is not a port: use 1 to 65535")
        return cls(scheme=scheme, host=parts.hostname, port=port or DEFAULT_PORTS[scheme])


def _scheme(text: str) -> BusScheme:
    match text:
        case "mqtt" | "mqtts" | "embedded":
            return text
        case _:
            raise ValueError("must begin with mqtt://, mqtts:// or embedded://")
