"""Skips tests whose programs are missing and lists them at the end of the run; under CI they fail."""

import gc
import os
import sys
from collections import defaultdict
from typing import Final

import pytest
import structlog
from _pytest.terminal import TerminalReporter
from hypothesis import Phase, settings

from tests.needs import PACKAGES, missing, packages_for, why_no_namespaces
from tests.warm import programs
from tests.warm.programs import HUNTED

MISSING = "missing_program"
NO_NAMESPACES = "no_namespaces"
KILLED_BY = "killed_by"
"""Property of the test that planted a bug (tests/planted): the bug, and the test that killed it."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""The tests start fenced's programs hundreds of times: compile them once, even in a container that turns this off."""

gc.disable()
"""Until the end of the collection (`pytest_collection_finish`), which makes a great many lasting objects."""

LONG: Final = (
    "system", "planted", "bench", "packages", "cluster/faults", "simulation", "e2e/lifecycle", "drivers/contract",
    "e2e", "snmp/devices", "proxy/program", "formal", "properties", "golden/stories", "fuzz", "keeper", "lab/story",
    "house/tour", "config/scale", "golden/scenes", "site/site", "api/fencectl", "proxy", "journal",
)  # fmt: skip
"""Folders and files whose tests take longest, the longest first."""

settings.register_profile("any machine", deadline=None)
settings.register_profile("hunted", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
# A test that kills a planted bug need not find its smallest example.
settings.load_profile("hunted" if HUNTED in os.environ else "any machine")


@pytest.fixture(autouse=True)
def _log_of_its_own() -> None:
    """Reset the process's log, because some tests silence it and others check what was logged."""
    structlog.reset_defaults()


def pytest_configure(config: pytest.Config) -> None:
    """Have the workers of this run share the parent of their programs."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        programs.share()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take file by file, in this order (`--dist loadscope`): the long ones first, so that all end together."""
    ranks = {name: rank for rank, name in enumerate(LONG)}

    def rank(item: pytest.Item) -> int:
        folder, name = item.path.parent.name, item.path.stem.removeprefix("test_")
        return min(ranks.get(f"{folder}/{name}", len(LONG)), ranks.get(folder, len(LONG)))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Exempt the thousands of collected tests from garbage collection."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before any fixture what can't run here. Properties pass the reason from an xdist worker to the summary."""
    programs = {str(program) for mark in item.iter_markers("needs") for program in mark.args}
    absent = missing(sorted(programs))
    for program in absent:
        item.user_properties.append((MISSING, program))
    if absent:
        named = ", ".join(f"{program} (package {PACKAGES[program]})" for program in absent)
        if os.environ.get("CI"):
            pytest.fail(f"not installed: {named}; under CI nothing is skipped for that (see tests/needs.py)")
        pytest.skip(f"not installed: {named}")
    why = why_no_namespaces() if item.get_closest_marker("needs_root") else None
    if why is not None:
        item.user_properties.append((NO_NAMESPACES, why))
        pytest.skip(why)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """List the killers of the planted bugs, then what was skipped and how to install what was missing."""
    _tell_killed(terminalreporter)
    lacking: dict[str, int] = defaultdict(int)
    no_namespaces: dict[str, int] = defaultdict(int)
    others: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", ()):
        said = [(key, str(value)) for key, value in getattr(report, "user_properties", ())]
        for key, value in said:
            {MISSING: lacking, NO_NAMESPACES: no_namespaces}.get(key, others)[value] += 1
        if not said and isinstance(report.longrepr, tuple):
            others[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    if not lacking and not no_namespaces and not others:
        return
    terminalreporter.section("skipped: what this machine could not show")
    for program, count in sorted(lacking.items()):
        terminalreporter.line(f"{count:4} tests need {program} (Debian package {PACKAGES[program]})")
    for why, count in sorted(no_namespaces.items()) + sorted(others.items()):
        terminalreporter.line(f"{count:4} tests: {why}")
    if lacking:
        packages = " ".join(packages_for(lacking))
        terminalreporter.line(f"to run them: sudo apt-get install --no-install-recommends {packages}")


def _tell_killed(terminalreporter: TerminalReporter) -> None:
    reports = terminalreporter.stats.get("passed", ())
    said = [(key, str(value)) for report in reports for key, value in getattr(report, "user_properties", ())]
    lines = sorted({value for key, value in said if key == KILLED_BY})
    if lines:
        terminalreporter.section(f"planted bugs: {len(lines)} killed, each with its killer")
    for line in lines:
        terminalreporter.line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options; pytest reads them from this file only."""
    parser.addoption(
        "--rewrite-golden", action="store_true", help="rewrite the expectations of the golden scenarios (tests/golden)"
    )
