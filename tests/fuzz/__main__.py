"""`make fuzz FOR=10m`: run the properties of this folder with new examples, round after round, until the time is over.

Each round takes more examples than the one before. The first failure ends it, and pytest prints the smallest example,
which is to be kept as an `@example` of its test.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from fenced.config.durations import parse_duration
from tests.fuzz.given import TIMES_VARIABLE

ROOT = Path(__file__).parents[2]
TIMES_MAX = 100


def main() -> int:
    """Return the exit status: 0 if no round failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--for", dest="duration", type=parse_duration, default=60.0, help="60s, 10m, 1h30m")
    parser.add_argument("--only", default="", help="a name for pytest -k")
    given = parser.parse_args()
    end, times = time.monotonic() + given.duration, 2
    while True:
        began = time.monotonic()
        if not _round(times, given.only):
            print(f"failed in a round of {times} times the examples of CI", file=sys.stderr)
            return 1
        took = time.monotonic() - began
        print(f"{times} times the examples of CI in {took:.0f} s: nothing found", flush=True)
        if time.monotonic() >= end:
            return 0
        left = end - time.monotonic()
        times = max(1, min(TIMES_MAX, 2 * times, int(times * left / took)))


def _round(times: int, only: str) -> bool:
    """Return whether all properties held. CI must be unset: under it hypothesis takes the same examples each time."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {TIMES_VARIABLE: str(times)}
    command = [sys.executable, "-m", "pytest", "tests/fuzz", "-q", "-x", "--no-header", "-p", "no:cacheprovider"]
    command += ["--timeout", "0", *(["-k", only] if only else [])]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
