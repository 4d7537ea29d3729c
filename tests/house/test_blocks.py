"""Every block of every page is run or read by a test."""

import ast
from pathlib import Path

import pytest

from tests.house.tree import ROOT, name, tree
from tests.pages.blocks import LANGUAGES, Block, all_blocks, indented, pages
from tests.pages.commands import OURS
from tests.pages.registry import RUNS, Run, is_of


def _shell_blocks(run: Run) -> list[Block]:
    return [block for block in all_blocks() if block.language == "sh" and is_of(block.page, block.heading, run)]


def test_blocks_are_fenced_and_name_their_language() -> None:
    """Otherwise no test finds out what a block is."""
    unnamed = [block.place for block in all_blocks() if block.language not in LANGUAGES]
    hidden = [f"{name(path)}:{line}" for path in pages() for line in indented(path.read_text(encoding="utf-8"))]
    assert (unnamed, hidden) == ([], [])


def test_blocks_of_text_hold_no_commands_of_ours() -> None:
    texts = [block for block in all_blocks() if block.language == "text"]
    firsts = [(block.place, line.partition(" ")[0]) for block in texts for line in block.text.splitlines()]
    assert [place for place, first in firsts if first in OURS] == []


def test_every_block_of_commands_is_run_by_a_test() -> None:
    known = {(run.page, run.heading) for run in RUNS.values()}
    blocks = [block for block in all_blocks() if block.language == "sh"]
    unknown = [f"{block.place} ({block.heading})" for block in blocks if (block.page, block.heading) not in known]
    assert unknown == [], "run them by a test, and add them to tests/pages/registry.py"


@pytest.mark.parametrize("called", RUNS)
def test_the_registry_names_blocks_and_the_tests_that_run_them(called: str) -> None:
    run = RUNS[called]
    blocks = _shell_blocks(run)
    assert blocks, f"{run.page} has no commands below '{run.heading}' any more"
    assert len(run.by) in {1, len(blocks)}, f"{run.page}, '{run.heading}': {len(blocks)} blocks, {len(run.by)} tests"
    for file in set(run.by):
        assert called in _asked(ROOT / file), f"{file} does not call shell('{called}', __name__)"


def test_no_heading_is_registered_twice() -> None:
    assert len({(run.page, run.heading) for run in RUNS.values()}) == len(RUNS)


def _asked(path: Path) -> set[str]:
    """Return the entries whose blocks a test file asks for."""
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    named = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "shell"]
    return {str(word.value) for word in named if isinstance(word, ast.Constant)}
