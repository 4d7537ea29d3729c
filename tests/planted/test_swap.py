"""A function of a running program is replaced wherever it is referenced, and nothing if more than functions differs."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.planted.swap import running, swap

SOUND = """
LIMIT = 3
def is_low(value, most=LIMIT):
    return value < most
class Gate:
    def is_open(self):
        return is_low(1) and (lambda: 7)() == 7
HELD = {"low": is_low, "late": lambda: 1}
"""


def imported(tmp_path: Path) -> ModuleType:
    file = tmp_path / "sound_module.py"
    file.write_text(SOUND)
    spec = importlib.util.spec_from_file_location("sound_module", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("value < most", "\n        value > most", (False, False, 1)),
        ("is_low(1) and ", "not ", (True, False, 1)),
        ("lambda: 1", "lambda: 2", (True, True, 2)),
    ],
)
def test_functions_are_exchanged(old: str, new: str, seen: tuple[bool, bool, int], tmp_path: Path) -> None:
    module = imported(tmp_path)
    held = module.HELD["low"]
    assert swap(
        running(),
        str(tmp_path / "sound_module.py"),
        sound=SOUND,
        planted=SOUND.replace(old, f"({new})" if "\n" in new else new),
    )
    assert (held(2), module.Gate().is_open(), module.HELD["late"]()) == seen


@pytest.mark.parametrize("new", ["LIMIT = 4", "LIMIT = 3.0", "LIMIT = 3\nMORE = 1"])
def test_what_has_run_already_is_not_touched(new: str, tmp_path: Path) -> None:
    module = imported(tmp_path)
    planted = SOUND.replace("LIMIT = 3", new).replace("value < most", "value > most")
    assert not swap(running(), str(tmp_path / "sound_module.py"), sound=SOUND, planted=planted)
    assert module.HELD["low"](2)
