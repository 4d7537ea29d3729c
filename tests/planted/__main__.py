"""`python -m tests.planted [WORDS]`: plant the bugs whose name or rule holds these words (none: all), say who kills each.

Ends with 1 where one lives or can't be planted any more.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.plant import Ground, NotPlanted, copy_to, ground, planted
from tests.planted.telling import line


def main(words: str) -> int:
    chosen = [bug for bug in BUGS if words in bug.name or words == bug.rule]
    if not chosen:
        print(f"no planted bug is called {words!r}; there are:", *(bug.name for bug in BUGS), sep="\n  ")
        return 1
    with ground() as warm, tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy"
        copy_to(copy)
        living = [bug.name for bug in chosen if not _is_killed(bug, warm, copy)]
    print(f"{len(chosen) - len(living)} of {len(chosen)} killed" + "".join(f"\n  LIVES: {name}" for name in living))
    return 1 if living else 0


def _is_killed(bug: Bug, warm: Ground, copy: Path) -> bool:
    began = time.monotonic()
    try:
        with planted(bug, copy):
            killed = warm.hunt(bug, copy)
    except NotPlanted as exc:
        print(f"{bug.rule:9} {bug.name}: NOT PLANTED: {exc}", flush=True)
        return False
    print(f"{line(bug, killed)} ({time.monotonic() - began:.1f} s)", flush=True)
    return bool(killed.tests)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
