"""The built-in broker: amqtt in this process, for a first run and the lab (`embedded://HOST:PORT`).

It knows nothing of fenced's topics. It requires no password, so it listens on loopback only. It speaks MQTT 3.1.1: it
reports no refused publish, and it never sends the will of a silent client.
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
    """Work around amqtt, which reads an MQTT 5 CONNECT as 3.1.1 and waits for ever for the rest of its will.

    Read nothing of such a payload, so that the broker goes on and refuses the version.
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
    """`start`, then `stop`; it may be started again. Retained messages are lost when it stops."""

    def __init__(self, url: BusUrl) -> None:
        self._url = url
        self._broker: Broker | None = None

    async def start(self) -> None:
        """Return once it listens. Raises BusError, for example if the port is in use."""
        await self.stop()
        for name in LOGGERS:
            # amqtt logs each refused version and each lost client as a warning or an error; both are normal here.
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
            raise BusError(
                f"the embedded broker can't listen on {self._url.host}:{self._url.port}: {exc}; "
                "free the port or change bus.url"
            ) from exc
        self._broker = broker

    async def stop(self) -> None:
        """End every connection; idempotent."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
