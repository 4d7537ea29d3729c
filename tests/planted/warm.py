"""A warm process that runs tests or seeds in a copy of the program, each in its own fork; libraries are imported once.

Run as a file with the copy's folder as the argument, and with requests as lines of JSON on stdin. It knows no bugs. It
never imports `fenced` or `tests` itself, so that each fork imports them from the copy as it is then, and reports from
which file. One fork, the sound process, holds one pytest session. It collects each file of tests once, and imports what
they use of the correct program; it serves the bugs that are planted by replacing functions. Whoever plants a bug asks
it to collect first. What it has not imported is imported with the bug in it.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from _pytest.config import default_plugins

HEAVY = ("hypothesis", "aiohttp.web", "aiomqtt", "aiosqlite", "cryptography.x509", "prometheus_client", "pydantic",
         "rich.console", "sqlalchemy.ext.asyncio", "structlog", "uvloop", "yaml")  # fmt: skip
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
"""Passed as modules: by name, pytest searches all installed packages for each."""
ITS_OWN = tuple(f"_pytest.{name}" for name in default_plugins)
OPTIONS = ("-q", "--assert=plain", "--tb=native", "-p", "no:cacheprovider", "-o", "addopts=",
           "-m", "not integration or database", "--timeout", "60")  # fmt: skip
"""Plain asserts: the name of the failed test is enough, and pytest would rewrite its plugins (hypothesis) as it imports
them."""
OUR_OWN = ("SyntaxError", "IndentationError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")
"""A test that fails with one of these was broken by the planted text, not by the rule that it breaks."""
PROCESSOR_SECONDS_MAX = 20
"""Of one request about named tests: a bug that never ends uses that up on any machine, and a busy one does not."""
SEED_SECONDS_MAX = 10


class Recorder:
    """Records which tests failed, and how the last one failed. `is_of_a_call`: in the test itself, not in a fixture."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.said = ""
        self.is_broken = False
        self.is_of_a_call = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.is_broken = True
            self.said = report.longreprtext

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            self.is_of_a_call = self.is_of_a_call and report.when == "call"
            self.said = report.longreprtext

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        if call.excinfo is not None and call.excinfo.typename in OUR_OWN:
            self.is_broken = True
        return (yield)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run, in the fork, the tests of one copy or seeds of its simulation."""
    move_into(request["directory"])
    if "seeds" in request:
        return {**play(request["seeds"], is_whole=request["is_whole"]), "program": program()}
    recorder = Recorder()
    options = OPTIONS if request["is_whole"] else (*OPTIONS, "-x")
    plugins = [importlib.import_module(name) for name in PLUGINS]
    status = pytest.main([*options, *request["tests"]], plugins=[recorder, *plugins])
    return answer_of(recorder, int(status), request)


def answer_of(recorder: Recorder, status: int, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": status,
        "failed": recorder.failed,
        "is_broken": recorder.is_broken,
        "is_of_a_call": recorder.is_of_a_call,
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


def fork(request: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work of one request in a fork, within its time."""
    answer = Path(f"{request['directory']}.answer")
    child = os.fork()
    if child == 0:
        os.setsid()
        silence()
        try:
            found = work()
        except BaseException as exc:  # the parent gets every error
            found = {"lost": repr(exc)}
        answer.write_text(json.dumps(found), encoding="utf-8")
        os._exit(0)
    end = os.pidfd_open(child)
    is_ended = bool(select.select([end], [], [], request["seconds"])[0])
    os.close(end)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and children that a broken program left running
    _, status = os.waitpid(child, 0)
    if not is_ended or os.WIFSIGNALED(status):
        return {"is_endless": True} if not is_ended or os.WTERMSIG(status) == signal.SIGXCPU else {"lost": str(status)}
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        return {"lost": repr(exc)}
    return dict(found)


def silence() -> None:
    """Read nothing, and print nowhere."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def serve(requests: IO[str], answers: IO[str], answer_to: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Serve until the requests end."""
    for line in requests:
        print(json.dumps(answer_to(json.loads(line))), file=answers, flush=True)


class Sound:
    """The session of the sound process: the tests that it collected, and the functions of the correct program."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self._items: dict[str, list[pytest.Item]] = {}
        self._running: dict[str, list[Any]] = {}
        self._session: pytest.Session | None = None
        self._passed: dict[str, bool] = {}
        """Whether a test that killed a bug passes without one."""
        self._trusted: set[str] = set()
        """Files of which a test passed without a bug: what it needs is there."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        return True  # nothing yet

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self) -> None:
        """Before the objects are frozen, after which nobody finds the functions among them."""
        self._remember()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._session = session
        serve(self._requests, self._answers, self._answer_to)
        return True

    def pytest_sessionstart(self) -> None:
        """Import what tests start as programs: in a fork with a bug in it, `tests.warm` forks them from that."""
        for name in importlib.import_module("tests.warm.programs").MODULES:
            importlib.import_module(name)

    def _remember(self) -> None:
        for file, functions in importlib.import_module("tests.planted.swap").running().items():
            self._running.setdefault(file, []).extend(functions)
        gc.freeze()

    def _answer_to(self, request: dict[str, Any]) -> dict[str, Any]:
        if "collect" in request:
            self._collect(request["collect"])
            return {"is_collected": True}
        answer = fork(request, lambda: self._run(request))
        killers = answer.get("failed") or (request.get("tests", ()) if answer.get("is_endless") else ())
        if not all(self._is_sound(test, answer, request) for test in killers):
            return {"is_cold": True}  # what fails without a bug kills none: the run of the files alone decides
        return answer

    def _is_sound(self, test: str, answer: Mapping[str, Any], request: dict[str, Any]) -> bool:
        """Return whether a test that failed passes without a bug.

        That it can run here is shown once for its file. One that failed before or after its own lines shows it itself.
        """
        file = test.partition("::")[0]
        if file in self._trusted and answer.get("is_of_a_call"):
            return True
        if self._passes(test, request):
            self._trusted.add(file)
            return True
        return False

    def _passes(self, test: str, request: dict[str, Any]) -> bool:
        """Return whether a test passes in this session without a bug."""
        if test not in self._passed:
            answer = fork(request, lambda: self._run_items(self._named(test), request))
            self._passed[test] = answer.get("status") == 0
        return self._passed[test]

    def _collect(self, tests: Sequence[str]) -> None:
        """Collect the files of these tests, or import the simulation if there are none."""
        assert self._session is not None
        if not tests:
            importlib.import_module("tests.simulation.play")
            self._remember()
        for file in dict.fromkeys(test.partition("::")[0] for test in tests):
            if file not in self._items:
                self._items[file] = []
                self._offer_fixtures()
                with contextlib.suppress(pytest.UsageError):  # the run with the planted file reports it
                    self._items[file] = [*self._session.perform_collect([file])]

    def _offer_fixtures(self) -> None:
        """Have pytest attach the fixtures of each conftest.py to the folders that it collects next.

        It does so once, for the folder's node of the first collection; another collection makes another node.
        """
        assert self._session is not None
        waiting = self._session._fixturemanager._pending_conftests
        for plugin in self._session.config.pluginmanager.get_plugins():
            file = Path(getattr(plugin, "__file__", None) or "")
            if file.name == "conftest.py":
                waiting[file.parent] = plugin

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        """In the fork."""
        if not importlib.import_module("tests.planted.swap").swap(self._running, **request["swapped"]):
            return {"is_cold": True}
        if "seeds" in request:
            return {**play(request["seeds"], is_whole=request["is_whole"]), "program": program()}
        named = [self._named(test) for test in request["tests"]]
        if not all(named):
            return {"is_cold": True}  # pytest says there which test does not exist
        return self._run_items([item for each in named for item in each], request)

    def _run_items(self, items: Sequence[pytest.Item], request: dict[str, Any]) -> dict[str, Any]:
        """In the fork: run tests until one fails."""
        limit_processor_time()
        recorder = Recorder()
        items[0].config.pluginmanager.register(recorder)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if recorder.failed:
                break
        return answer_of(recorder, int(bool(recorder.failed)), request)

    def _named(self, test: str) -> list[pytest.Item]:
        """Return the items of a test: itself, its parameters, or the tests of a class or file."""
        there = self._items.get(test.partition("::")[0], ())
        return [item for item in there if item.nodeid == test or item.nodeid.startswith((f"{test}[", f"{test}::"))]


def limit_processor_time() -> None:
    """A test that uses too much of it ends the fork by SIGXCPU."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + PROCESSOR_SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def sound(directory: str) -> tuple[IO[str], IO[str]]:
    """Fork the sound process beside the correct copy; return its request and answer streams."""
    (request_end, asks), (answers, answer_end) = os.pipe(), os.pipe()
    if os.fork():
        os.close(request_end)
        os.close(answer_end)
        return os.fdopen(asks, "w"), os.fdopen(answers)
    os.close(asks)
    os.close(answers)
    silence()
    move_into(directory)
    plugins = [importlib.import_module(name) for name in PLUGINS]
    pytest.main([*OPTIONS, "-s"], plugins=[Sound(os.fdopen(request_end), os.fdopen(answer_end, "w")), *plugins])
    os._exit(0)


def main(directory: str) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in (*HEAVY, *PLUGINS, *ITS_OWN):
        importlib.import_module(name)
    asks, answers = sound(directory)

    def answer_to(request: dict[str, Any]) -> dict[str, Any]:
        if "swapped" not in request and "collect" not in request:
            return fork(request, lambda: run(request))
        print(json.dumps(request), file=asks, flush=True)
        return dict(json.loads(answers.readline()))

    serve(sys.stdin, sys.stdout, answer_to)
    asks.close()
    os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
