"""Publishes the order to shut down to a host's reporter (S24): once, and never again."""

import structlog

from fenced.core import commands as c
from fenced.ports.bus import Bus, BusError, ShutdownOrder

log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.engine")


async def order_shutdown(bus: Bus, command: c.AskReporter) -> None:
    """Publish the order. If that fails the host may have heard it all the same, so the operation waits as if it had."""
    if command.boot is None or command.sequence is None:
        log.warning("shutdown_not_ordered", host=command.host, why="its beats have no boot id or no sequence number")
        return
    order = ShutdownOrder(
        id=command.operation, token=command.token, boot=command.boot, seq=command.sequence,
        within_seconds=command.within_seconds, reason=command.reason,
    )  # fmt: skip
    try:
        await bus.command(command.host, order)
    except BusError as exc:
        log.warning("shutdown_not_ordered", host=command.host, why=str(exc))
