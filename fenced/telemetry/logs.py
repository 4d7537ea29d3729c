"""Structured logs: fields of systemd's journal, lines of JSON on standard error, or coloured text on a terminal.

No secret leaves the process, whatever a caller logs: Secret objects and values under names such as `password` are
masked, tracebacks show no local variables, and long values are cut.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fenced.model.inventory import Secret
from fenced.model.names import Token
from fenced.model.text import one_line
from fenced.telemetry import journald

MASK: Final = "***"
DEPTH_MAX: Final = 6
ITEMS_MAX: Final = 64
TEXT_MAX_CHARACTERS: Final = 4096
TRACEBACK_MAX_CHARACTERS: Final = 32768
SECRET_NAME: Final = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|authorization|api_?key|private_?key|cookie|community",
    re.IGNORECASE,
)
FENCE_TOKEN: Final = re.compile(r"\d+-\d+", re.ASCII)
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(level: str = "info", *, stream: TextIO | None = None, journal: str = journald.SOCKET) -> None:
    """Set up structlog and the standard library's logging; a program calls it once. Raises ValueError.

    `journal`: the socket of journald, used where systemd connected the stream to the journal.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"unknown log level {level!r}; use one of {', '.join(LEVELS)}")
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    before: list[Processor] = [*shared, structlog.stdlib.PositionalArgumentsFormatter()]
    root = logging.getLogger()
    root.handlers[:] = [_handler(out, before, journal)]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "aiosqlite", "amqtt", "transitions", "mqtt"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _handler(out: TextIO, before: list[Processor], journal: str) -> logging.Handler:
    """Return the handler for this stream. `before`: what prepares a record of a library."""

    def formatter(*last: Processor) -> logging.Formatter:
        remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[remove, *last])

    traceback = structlog.processors.format_exc_info
    if journald.is_connected(out):
        return journald.JournalHandler(
            entry=formatter(traceback, mask, _entry), line=formatter(traceback, mask, _line), out=out, path=journal
        )
    handler = logging.StreamHandler(out)
    if out.isatty():
        pretty = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        handler.setFormatter(formatter(mask, _on_one_line, pretty))
    else:
        handler.setFormatter(formatter(traceback, mask, structlog.processors.JSONRenderer()))
    return handler


def mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Mask secrets in a log line and cut long values. A fence token ("4-118") is not a secret."""
    return {key: _masked(key, value, DEPTH_MAX) for key, value in event.items()}


def _on_one_line(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Remove control characters, which a terminal would execute and which a host can put into its reason."""
    return {key: one_line(value) if isinstance(value, str) else value for key, value in event.items()}


def _masked(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, Secret):
        return MASK
    if SECRET_NAME.search(key) and not _is_harmless(value):
        return MASK
    if isinstance(value, str):
        limit = TRACEBACK_MAX_CHARACTERS if key == "exception" else TEXT_MAX_CHARACTERS
        return value if len(value) <= limit else f"{value[:limit]}... ({len(value)} characters)"
    if isinstance(value, Mapping):
        if depth == 0:
            return "{...}"
        parts = list(value.items())[:ITEMS_MAX]
        return {str(name): _masked(str(name), part, depth - 1) for name, part in parts}
    if isinstance(value, list | tuple | set | frozenset) and key != "exc_info":
        return "[...]" if depth == 0 else [_masked(key, part, depth - 1) for part in list(value)[:ITEMS_MAX]]
    return value


def _is_harmless(value: Any) -> bool:
    if value is None or isinstance(value, bool | Token):
        return True
    return isinstance(value, str) and FENCE_TOKEN.fullmatch(value) is not None


def _entry(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Return the journal's entry. A formatter returns text, so each byte becomes one character."""
    return journald.datagram(event).decode("latin-1")


def _line(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
    """Return the line of JSON with syslog's priority in front, which journald reads."""
    priority = journald.PRIORITIES.get(str(event.get("level", "info")), journald.PRIORITIES["info"])
    text = structlog.processors.JSONRenderer()(logger, method, event)
    assert isinstance(text, str)
    return f"<{priority}>{text}"
