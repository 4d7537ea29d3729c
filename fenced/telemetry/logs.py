"""Structured logs on standard error: JSON for machines, coloured text for a terminal.

No secret leaves the process, whatever a caller logs: Secret objects and values under names such as `password` are
masked, tracebacks show no local variables, and long values are cut.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fenced.model.inventory import Secret
from fenced.model.names import Token
from fenced.model.text import one_line

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
PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog's priorities; journald reads them from the start of a line."""


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging; the composition root calls it once. Raises ValueError."""
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
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()], processors=_last(out)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "aiosqlite", "amqtt", "transitions", "mqtt"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _last(out: TextIO) -> list[Processor]:
    """Return the processors that turn an event into its line."""
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if out.isatty():
        pretty = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [remove, mask, _on_one_line, pretty]
    chain: list[Processor] = [remove, structlog.processors.format_exc_info, mask, structlog.processors.JSONRenderer()]
    if _is_journald(out):
        return [remove, _remember_priority, *chain[1:-1], _json_with_priority]
    return chain


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


def _is_journald(out: TextIO) -> bool:
    """Return whether systemd connected this stream to the journal (JOURNAL_STREAM is `device:inode`)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(out.fileno())
    except (OSError, ValueError):  # the stream has no descriptor
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _remember_priority(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event["_priority"] = PRIORITIES.get(str(event.get("level", "info")), 6)
    return event


def _json_with_priority(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
    priority = event.pop("_priority")
    text = structlog.processors.JSONRenderer()(logger, method, event)
    assert isinstance(text, str)
    return f"<{priority}>{text}"
