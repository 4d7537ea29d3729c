"""Stand-ins for the daemon that a test kills."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


class Owner:
    """One process that owns a keeper. Its first line is the keeper's pid."""

    def __init__(self, marker: str, script: str, *arguments: str, module: str = "tests.drivers.keeper.owner") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, marker, script, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.keeper_pid = int(self.line())

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
