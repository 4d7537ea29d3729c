"""Rules for code that a machine can check. Exceptions are listed here, each with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from tests.house.tree import ROOT, functions, name, python_files, tree

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
CORE_FUNCTION_LINES_MEDIAN_MAX: Final = 6

LONG_FILES: Final = {
    "fenced/beat/fenced_beat.py": "a whole program as one file, for hosts that have nothing else of this one",
    "tests/core/test_gates.py": "one gate after the other, in their order",
}
LONG_FUNCTIONS: Final = {
    "tests/config/test_inventory.py:test_every_key_of_the_daemon_arrives": "every key once",
    "tests/e2e/test_bus.py:test_requests_of_the_bus": "one story of requests, each answered before the next",
    "tests/e2e/test_main_job.py:test_a_silent_host_is_fenced_announced_restored_and_healthy": "the main job as a whole",
    "tests/fakes/samples.py:finished_restart": "one whole operation written out",
}
OWN_TASKS: Final = {
    "fenced/app/unit.py:_until_ended": "a life ends in a group that forgets a stop; who runs it waits for it",
    "fenced/bus/connection.py:_enter_loop": "aiomqtt's keepalive, which it starts itself otherwise; `close` ends it",
    "fenced/engine/race.py:_start": "a probe is cancelled alone when it loses; the race waits for each in a finally",
    "fenced/journal/postgres/looking.py:of": "a look is for all who ask, whoever of them is cancelled; `close` ends it",
    "fenced/journal/database.py:_whole": "a transaction outlives the caller that was cancelled, who waits for it",
}
"""Tasks outside a TaskGroup."""

WIDE_EXCEPTS: Final = {
    "fenced/api/border.py": "border: the API's middleware",
    "fenced/api/page/border.py": "border: an address of the page",
    "fenced/core/operation/recovery.py": "border: a start; the host is put aside, and told",
    "fenced/engine/replaying.py": "border: the replay; the host is put aside, and told",
    "fenced/engine/effects.py": "border: effects",
    "fenced/bus/pacing.py": "border: paho and the listener; the connection ends and tells why",
    "fenced/telemetry/journald.py": "border: a log line; logging reports it, and the caller goes on",
    "fenced/app/reload.py": "border: a reload; it is refused, and every caller is told",
    "fenced/config/mistakes.py": "border: a configuration is read; told as a mistake of its file",
    "fenced/proxy/server.py": "border: the proxy agent, towards its callers and towards its drivers",
    "fenced/proxy/tokens.py": "border: a thread; every waiting caller is told",
    "fenced/drivers/keeper/client.py": "puts the program down, then raises again unless it was the deadline",
    "fenced/lab/namespaces.py": "carried over to the caller's thread and raised there",
}
"""Places that catch more than the project's own errors and do not simply re-raise."""

CORE_IMPORTS: Final = frozenset(
    {
        "base64", "bisect", "collections.abc", "dataclasses", "datetime", "enum", "functools", "heapq", "ipaddress",
        "itertools",
        "json",         "math", "operator", "re", "shlex", "typing", "unicodedata", "urllib.parse", "zlib",
    }
)  # fmt: skip
CLOCKS: Final = frozenset({"now", "utcnow", "today"})


def test_every_module_says_what_it_is() -> None:
    silent = [name(path) for path in python_files() if ast.get_docstring(tree(path)) is None]
    assert silent == []


def test_files_hold_one_idea() -> None:
    long = {
        name(path): lines
        for path in python_files()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    }
    assert long.keys() <= LONG_FILES.keys(), f"files over {FILE_LINES_MAX} lines: {long}"
    assert [path for path in LONG_FILES if not (ROOT / path).exists()] == []


def test_functions_hold_one_idea() -> None:
    long = {
        f"{name(path)}:{function}": lines
        for path in python_files()
        for function, node in functions(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long.keys() <= LONG_FUNCTIONS.keys(), f"functions over {FUNCTION_LINES_MAX} lines: {long}"


def test_functions_of_the_core_are_short() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python_files("fenced/core")
        for _, node in functions(path)
    ]
    assert median(lengths) <= CORE_FUNCTION_LINES_MEDIAN_MAX


def test_tasks_live_in_groups_and_have_names() -> None:
    bare, nameless = set(), set()
    for path in python_files("fenced"):
        for function, node in functions(path):
            for call in _calls(node):
                owner, _, method = ast.unparse(call.func).rpartition(".")
                if method not in {"create_task", "ensure_future"}:
                    continue
                if owner == "asyncio" or owner.endswith(("loop", "loop()")) or method == "ensure_future":
                    bare.add(f"{name(path)}:{function}")
                if not any(keyword.arg == "name" for keyword in call.keywords):
                    nameless.add(f"{name(path)}:{call.lineno}")
    assert bare == OWN_TASKS.keys()
    assert nameless == set()


def test_wide_excepts_stand_at_borders() -> None:
    found = {
        name(path)
        for path in python_files("fenced")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and _is_wide(node) and not _raises_again(node)
    }
    assert found == WIDE_EXCEPTS.keys()


def test_causes_are_kept() -> None:
    cut = [f"{name(path)}:{node.lineno}" for path in python_files("fenced") for node in _cut_causes(path)]
    assert cut == [], "raise X from exc, never from None"


def test_the_core_imports_nothing_of_the_world() -> None:
    """The import-linter contract lists forbidden imports; this lists the allowed ones."""
    foreign = {
        f"{name(path)}: {module}"
        for path in python_files("fenced/core", "fenced/model")
        for module in _imported(path)
        if module not in CORE_IMPORTS and not module.startswith(("fenced.core", "fenced.model"))
    }
    assert foreign == set()


def test_the_core_waits_for_nothing_and_reads_no_clock() -> None:
    faults = [
        f"{name(path)}:{getattr(node, 'lineno', 0)}"
        for path in python_files("fenced/core", "fenced/model")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Global)
        or (isinstance(node, ast.Call) and _is_clock(node))
    ]
    assert faults == []


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls in a function itself, not in nested functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls(child)


def _is_wide(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _cut_causes(path: Path) -> Iterator[ast.Raise]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Constant) and node.cause.value is None:
            yield node


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: a relative import"
            yield node.module or ""


def _is_clock(call: ast.Call) -> bool:
    owner, _, method = ast.unparse(call.func).rpartition(".")
    return owner in {"datetime", "date", "datetime.datetime"} and method in CLOCKS
