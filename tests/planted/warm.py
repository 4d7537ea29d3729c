"""A warm process that runs tests or seeds in a copy of the program, each in its own fork; libraries are imported once.

Run as a file with the copy's folder and the tests to import as arguments, and with requests as lines of JSON on stdin.
It knows no bugs. It never imports `fenced` or `tests` itself, so that each fork imports them from the copy as it is
then, and reports from which file. One fork imports the tests, and what they use of the correct program, at the start;
it serves the bugs that are planted by replacing functions. What it has not imported is imported with the bug in it.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from _pytest.config import default_plugins

READY = "ready"
"""The first line of an answer: the correct program is imported, and bugs may be planted into its copy."""

HEAVY = ("hypothesis", "aiohttp.web", "aiomqtt", "aiosqlite", "cryptography.x509", "prometheus_client", "pydantic",
         "rich.console", "sqlalchemy.ext.asyncio", "structlog", "uvloop", "yaml")  # fmt: skip
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
"""Passed as modules: by name, pytest searches all installed packages for each."""
ITS_OWN = tuple(f"_pytest.{name}" for name in default_plugins)
OPTIONS = ("-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "-o", "addopts=", "-m", "not integration",
           "--timeout", "15")  # fmt: skip
"""Plain asserts: the name of the failed test is enough, and pytest would rewrite its plugins (hypothesis) as it imports
them."""
OUR_OWN = ("SyntaxError", "IndentationError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")
"""A test that fails with one of these was broken by the planted text, not by the rule that it breaks."""
LOOK_SECONDS = 0.02
RUNNING: dict[str, Any] = {}
"""The functions of the correct program, in the fork that has it."""
SEED_SECONDS_MAX = 10


class Recorder:
    """Records which test failed first, how, and how many ran."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.said = ""
        self.ran = 0
        self.is_broken = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.is_broken = True
            self.said = report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed:
            self.failed.append(report.nodeid)
            self.said = report.longreprtext

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        if call.excinfo is not None and call.excinfo.typename in OUR_OWN:
            self.is_broken = True
        return (yield)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run, in the fork, the tests of one copy or seeds of its simulation."""
    move_into(request["directory"])
    if (swapped := request.get("swapped")) is not None:
        swap = importlib.import_module("tests.planted.swap").swap
        if not swap(RUNNING, **swapped):
            return {"is_cold": True}
    if "seeds" in request:
        return {**play(request["seeds"], is_whole=request["is_whole"]), "program": program()}
    recorder = Recorder()
    options = [option for option in OPTIONS if option != "-x" or not request["is_whole"]]
    plugins = [importlib.import_module(name) for name in PLUGINS]
    status = pytest.main([*options, *request["tests"]], plugins=[recorder, *plugins])
    return {
        "status": int(status),
        "failed": recorder.failed,
        "ran": recorder.ran,
        "is_broken": recorder.is_broken,
        "said": recorder.said[-request["said_max"] :],
        "program": program(),
    }


def move_into(directory: str) -> None:
    """Import from that folder from now on."""
    os.chdir(directory)
    os.environ["PYTHONPATH"] = directory
    if directory not in sys.path:
        sys.path.insert(0, directory)
    sys.dont_write_bytecode = False  # it serves the next bugs; planted code is removed with its compiled form


def program() -> str:
    """Return the file of the tested program."""
    return str(getattr(sys.modules.get("fenced"), "__file__", None))


def play(seeds: list[int], *, is_whole: bool) -> dict[str, Any]:
    """Play seeds until one notices something, or all of them. `modules`: the modules that the simulation imports.

    A seed that crashes because of the program, or never ends, has noticed the bug too.
    """
    playing = importlib.import_module("tests.simulation.play")
    playing.silence_logs()
    noticed: dict[int, str] = {}
    is_broken = False
    signal.signal(signal.SIGALRM, _too_long)
    for seed in seeds:
        signal.alarm(SEED_SECONDS_MAX)
        try:
            said = playing.simulate(seed).problems[:1]
        except (Exception, Endless) as exc:  # any error of the program
            said = [f"{type(exc).__name__}: {exc}"]
            is_broken = is_broken or any(type(one).__name__ in OUR_OWN for one in _all_of(exc))
        signal.alarm(0)
        if said:
            noticed[seed] = said[0]
        if said and not is_whole:
            break
    modules = [name for name in sys.modules if name.startswith("fenced.")]
    return {"noticed": noticed, "modules": modules, "is_broken": is_broken, "said": "".join([*noticed.values()][:1])}


class Endless(KeyboardInterrupt):
    """A KeyboardInterrupt, because asyncio lets no other exception through."""


def _all_of(exc: BaseException) -> list[BaseException]:
    """Return the error, or the members of an error group."""
    return [it for one in exc.exceptions for it in _all_of(one)] if isinstance(exc, BaseExceptionGroup) else [exc]


def _too_long(*_: object) -> None:
    raise Endless("it never ended")


def fork(request: dict[str, Any]) -> dict[str, Any]:
    """Run one request in a fork, within its time."""
    answer = Path(f"{request['directory']}.answer")
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        try:
            found = run(request)
        except BaseException as exc:  # the parent gets every error
            found = {"lost": repr(exc)}
        answer.write_text(json.dumps(found), encoding="utf-8")
        os._exit(0)
    end = time.monotonic() + request["seconds"]
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(LOOK_SECONDS)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return {"is_endless": True}
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # children that a broken program left running
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        return {"lost": repr(exc)}
    return dict(found)


def serve(requests: IO[str], answers: IO[str], answer_to: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Serve until the requests end."""
    for line in requests:
        print(json.dumps(answer_to(json.loads(line))), file=answers, flush=True)


def sound(directory: str, tests: list[str]) -> tuple[IO[str], IO[str]]:
    """Fork a process that imports these tests of the correct copy; return its request and answer streams."""
    (request_end, asks), (answers, answer_end) = os.pipe(), os.pipe()
    if os.fork():
        os.close(request_end)
        os.close(answer_end)
        return os.fdopen(asks, "w"), os.fdopen(answers)
    os.close(asks)
    os.close(answers)
    os.close(0)  # the requests of the parent
    move_into(directory)
    for test in tests:
        importlib.import_module(test.removesuffix(".py").replace("/", "."))
    RUNNING.update(importlib.import_module("tests.planted.swap").running())
    gc.freeze()  # pytest collects several times in each fork
    answering = os.fdopen(answer_end, "w")
    print(READY, file=answering, flush=True)
    serve(os.fdopen(request_end), answering, fork)
    os._exit(0)


def main(directory: str, *tests: str) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in (*HEAVY, *PLUGINS, *ITS_OWN):
        importlib.import_module(name)
    asks, answers = sound(directory, [*tests])
    print(answers.readline(), end="", flush=True)

    def answer_to(request: dict[str, Any]) -> dict[str, Any]:
        if "swapped" not in request:
            return fork(request)
        print(json.dumps(request), file=asks, flush=True)
        return dict(json.loads(answers.readline()))

    serve(sys.stdin, sys.stdout, answer_to)
    asks.close()
    os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
