"""Logs for journald, a file and a terminal, without any secret."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fenced.model.inventory import Secret
from fenced.model.names import Token
from fenced.telemetry import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_without_a_terminal() -> None:
    out = io.StringIO()
    logs.configure("info", stream=out)
    structlog.stdlib.get_logger("fenced.engine").info("host_suspected", host="node-1", silence_seconds=21.0)
    structlog.stdlib.get_logger("fenced.engine").debug("below_the_level")
    logging.getLogger("aiohttp.server").warning("from a library: %s", "odd")
    ours, theirs = logged(out)
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "host_suspected",
        "host": "node-1",
        "silence_seconds": 21.0,
        "level": "info",
        "logger": "fenced.engine",
    }
    assert (theirs["event"], theirs["level"]) == ("from a library: odd", "warning")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_secrets_are_masked_at_any_depth(stream: type[io.StringIO]) -> None:
    out = stream()
    logs.configure("debug", stream=out)
    hidden = Secret("hunter2-1")
    log = structlog.stdlib.get_logger("t")
    log.info("a", value=hidden, password="hunter2-2", api_token="hunter2-3", Authorization="Bearer hunter2-4")
    log.info("b", device={"options": {"passwd": "hunter2-5", "list": [hidden, {"secret": "hunter2-6"}]}})
    try:
        local_password = "hunter2-7"
        raise RuntimeError(len(local_password))
    except RuntimeError:
        log.exception("c")
    assert "hunter2" not in out.getvalue()
    assert "***" in out.getvalue()
    assert "RuntimeError" in out.getvalue()


def test_a_fence_token_is_not_masked() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    structlog.stdlib.get_logger("t").info("x", token=str(Token(epoch=4, sequence=118)), tokens=["a-b"])
    (line,) = logged(out)
    assert (line["token"], line["tokens"]) == ("4-118", "***")


def test_long_and_deep_values_are_bounded() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100):
        inner["in"] = {}
        inner = inner["in"]
    out = io.StringIO()
    logs.configure(stream=out)
    structlog.stdlib.get_logger("t").info("x", output="y" * 100_000, deep=deep, many=list(range(10_000)))
    assert len(out.getvalue()) < 6_000


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="debug, info"):
        logs.configure("loud")


def test_standard_error_is_the_default() -> None:
    code = """
import structlog
from fenced.telemetry.logs import configure

configure()
structlog.stdlib.get_logger("t").info("x")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout == b""
    assert json.loads(run.stderr)["event"] == "x"


def test_control_characters_do_not_reach_a_terminal() -> None:
    hostile, harmless = Terminal(), Terminal()
    for out, reason in ((hostile, "\x1b[2J\nfenced: \x9b31m"), (harmless, "x")):
        logs.configure("info", stream=out)
        structlog.stdlib.get_logger("fenced.core").info("host_suspected", reason=reason)
    assert hostile.getvalue().count("\n") == harmless.getvalue().count("\n")
    assert "\x1b[2J" not in hostile.getvalue()
    assert "\x9b" not in hostile.getvalue()
