"""The built-in broker: amqtt in this process, for a first run and the lab (`embedded://HOST:PORT`).

Knows nothing of fenced's topics. It asks nobody for a password, so it listens on loopback alone. It speaks MQTT 3.1.1:
no publish of ours can be seen refused, and a silent client's will never comes (TESTBED section 1).
"""

import logging
from typing import Any, Final

from amqtt.broker import Broker  # type: ignore[import-untyped]  # amqtt ships no types
from amqtt.errors import AMQTTError, BrokerError  # type: ignore[import-untyped]  # amqtt ships no types
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload  # type: ignore[import-untyped]  # amqtt ships no types

from fenced.model.bus_urls import BusUrl
from fenced.ports.bus import BusError

CONNECTIONS_MAX: Final = 4096
PROTOCOL_LEVEL: Final = 4
"""MQTT 3.1.1."""
LOGGERS: Final = ("amqtt", "transitions")


class _ReadablePayload(ConnectPayload):  # type: ignore[misc]  # amqtt ships no types
    """amqtt reads an MQTT 5 CONNECT as if it were 3.1.1 and, where it carries a will, waits for bytes that never come.

    This reads nothing of it, so that the broker goes on to what it does with a version it doesn't speak: it refuses it.
    """

    @classmethod
    async def from_stream(cls, reader: Any, fixed_header: Any, variable_header: Any) -> Any:
        if variable_header is None or variable_header.proto_level == PROTOCOL_LEVEL:
            return await super().from_stream(reader, fixed_header, variable_header)
        variable_header.flags = variable_header.CLEAN_SESSION_FLAG
        payload = cls()
        payload.client_id = "of-another-version"
        return payload


class EmbeddedBroker:
    """`start`, then `stop`; a second `start` begins anew. Retained messages end with it."""

    def __init__(self, url: BusUrl) -> None:
        self._url = url
        self._broker: Broker | None = None

    async def start(self) -> None:
        """Listens when it returns. Raises BusError, for example when the port is taken."""
        await self.stop()
        for name in LOGGERS:
            # amqtt logs each refused version and each lost client as a warning or an error; for us they are daily work.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        ConnectPacket.PAYLOAD = _ReadablePayload
        broker = Broker(
            {
                "listeners": {
                    "default": {
                        "type": "tcp",
                        "bind": f"{self._url.host}:{self._url.port}",
                        "max_connections": CONNECTIONS_MAX,
                    }
                },
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        try:
            await broker.start()
        except (AMQTTError, BrokerError, OSError) as exc:
            raise BusError(f"the embedded broker can't listen on {self._url.host}:{self._url.port}: {exc}") from exc
        self._broker = broker

    async def stop(self) -> None:
        """Ends every connection; idempotent."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
