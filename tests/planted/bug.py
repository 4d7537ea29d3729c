"""What a planted bug is: a rule of design.md#safety-rules broken by a few characters, and the tests that must kill it."""

from dataclasses import dataclass
from typing import Final

STORIES: Final = "tests/golden/test_stories.py"
CORE: Final = "tests/core"
ENGINE: Final = "tests/engine"
WIDER: Final = (CORE, ENGINE, STORIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`old` stands once in the file, else the bug's place has moved. `killers`: exact names, quick; `wider`: where a test may
    be that does it when those no longer do. `seeds`: of the simulation, of which at least one must notice it as well; they are
    among the fixed ones, which notice nothing in the sound program."""

    name: str
    rule: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...] = ()
    wider: tuple[str, ...] = WIDER
    seeds: tuple[int, ...] = ()


def story(name: str) -> str:
    """The golden story of that name, as pytest calls it."""
    return f"{STORIES}::test_story[{name}]"
