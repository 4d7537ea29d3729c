"""The programs that a foreign interpreter runs."""

import ast
import sys
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parents[3] / "fenced" / "drivers" / "programs"


def test_the_programs_of_the_foreign_interpreter_are_plain_enough_for_it() -> None:
    for name in ("keeper.py", "warm_template.py"):
        ast.parse((PROGRAMS / name).read_text(), feature_version=(3, 9))


def test_no_program_hides_a_module_of_the_standard_library() -> None:
    """The template finds modules beside itself first, until it has loaded the keeper."""
    assert {path.stem for path in PROGRAMS.glob("*.py")} & sys.stdlib_module_names == set()
