"""How the broker is reached: plain values. Knows nothing of files or of what is sent."""

from dataclasses import dataclass

from fenced.model.inventory import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """One connection to one broker. The defaults detect a frozen broker within half of the default grace.

    `publishes_max`: unacknowledged messages in flight; further ones wait until their own deadline.
    `payload_bytes_max`: longer incoming messages are dropped and counted. They are in memory by then, so limit them at
    the broker, too (Mosquitto: max_packet_size).
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
