"""A broker that refuses subscriptions, played on a socket of this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from structlog.testing import capture_logs

from tests.bus.parts import refusal, running, settings


async def test_a_refused_subscription_is_no_connection() -> None:
    async with refusing("00 00 01 87 00 00 00") as port:
        assert "refused a subscription" in await refusal(port, {})


async def test_states_and_controllers_that_may_not_be_read_cost_one_warning_and_nothing_else() -> None:
    async with refusing("00 00 01 01 87 87 87") as port:
        with capture_logs() as logs:
            async with running(settings(port)) as bus, asyncio.timeout(20.0):
                await bus.connected(times=2)
        told = [log for log in logs if log["event"] == "bus_subscription_refused"]
        assert [log["topics"] for log in told] == [
            ["fenced/v1/lab/request", "fenced/v1/lab/state/+", "fenced/v1/lab/controller/+"]
        ]


@contextlib.asynccontextmanager
async def refusing(codes: str) -> AsyncIterator[int]:
    """Yield the port of a broker that accepts the log-in, answers the seven subscriptions with these codes (0x87: not
    authorized; MQTT 5, 3.9.3), and hangs up a moment later."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(bytes.fromhex("2003000000"))
        asked = await reader.read(4096)
        packet_number = asked[asked.index(b"fenced/v1") - 5 : asked.index(b"fenced/v1") - 3]
        writer.write(bytes.fromhex("900a") + packet_number + bytes.fromhex("00" + codes))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.3)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
