"""A planted bug: a rule of design.md#safety-rules broken by a few characters, and the tests that must kill it."""

from dataclasses import dataclass
from typing import Final

STORIES: Final = "tests/golden/test_stories.py"
CORE: Final = "tests/core"
ENGINE: Final = "tests/engine"
WIDER: Final = (CORE, ENGINE, STORIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`old` occurs exactly once in the file, otherwise the place has moved.

    `killers`: exact names of quick tests, of which one must fail; `wider`: where `python -m tests.planted` searches for
    another one when none does. `seeds`: seeds of the simulation, of which at least one must notice the bug too. They
    are among the fixed ones, which notice nothing in the correct program.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...] = ()
    wider: tuple[str, ...] = WIDER
    seeds: tuple[int, ...] = ()


def story(name: str) -> str:
    """Return a golden story's name as pytest spells it."""
    return f"{STORIES}::test_story[{name}]"
