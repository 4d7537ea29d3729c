"""The wheel and the source archive; for the daemon's package, wheels of its dependencies, unpacked and compiled.

The wheels are downloaded once, in the versions of constraints.txt; every later step works without a network. Unpacking
is all that an installer would do with them: the commands of the dependencies are not wanted.
"""

import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from source import ROOT, NotBuilt, environment, output

PYTHON: Final = "/usr/bin/python3"
"""Runs the installed daemon, so it compiles it, too."""
SERIES: Final = (3, 11)
LEFT_OUT: Final = (
    "*/RECORD", "*/INSTALLER", "*/REQUESTED", "*/direct_url.json",  # of an installer; the package manager replaces it
    "*.c", "*.h", "*.pxd", "*.pxi", "*.pyi", "*.pyx", "*.cpp", "*.hpp", "*.in",  # for compilers and type checkers
    "asyncpg/_testbase/*", "greenlet/tests/*", "uvloop/_testbase.py", "multidict/_testcapi*",  # for tests
    "*/.DS_Store",  # left by accident
)  # fmt: skip
GLIBC: Final = re.compile(r"manylinux_2_(\d+)_")
OLD_GLIBC: Final = 17
"""manylinux2014, in its older spelling."""


EXTRA: Final = "postgresql"
"""What the daemon's .deb has of the extras: a store in PostgreSQL must not need pip."""


def build(out: Path, *, is_archived: bool) -> list[Path]:
    """Build the wheel and, if `is_archived`, the source archive, which takes longer; return the paths in this order."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out.absolute()), "-t", "wheel"]
    output([*command, "-t", "sdist"] if is_archived else command, cwd=ROOT, env=environment())
    (wheel,) = out.glob("fenced-*.whl")
    if not is_archived:
        return [wheel]
    (archive,) = out.glob("fenced-*.tar.gz")
    return [wheel, archive]


def download(wheel: Path, folder: Path) -> None:
    """Fetch what the wheel depends on, and its `EXTRA`, as this machine's pip is configured. Keeps what is there."""
    if sys.version_info[:2] != SERIES:
        raise NotBuilt(f"the daemon's .deb is for Python 3.11, and this is {sys.version.split()[0]}: PYTHON=python3.11")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--constraint", str(ROOT / "constraints.txt"), "--dest", str(folder)]
    command.append(f"{wheel}[{EXTRA}]")
    output(command)
    (folder / wheel.name).unlink()


def unpack(wheels: Sequence[Path], site: Path) -> None:
    """Lay the content of the wheels into one folder of packages."""
    for wheel in sorted(wheels):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                folder = entry.filename.partition("/")[0]
                if folder.endswith(".data"):
                    if entry.filename.split("/")[1] in {"purelib", "platlib"}:
                        raise NotBuilt(f"{wheel.name} holds {entry.filename}; unpack() can't place it")
                    continue
                if entry.is_dir() or any(fnmatch(entry.filename, each) for each in LEFT_OUT):
                    continue
                path = site / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                path.chmod(0o644)


def compile_all(site: Path, installed: str) -> None:
    """Write the bytecode of everything below `site`, as it will be read from the folder `installed`.

    It never compares with the source (`unchecked-hash`): only the package manager changes either. One process, in the
    order of names, with fixed hashes: so the same source gives the same bytes.
    """
    if (version := output([PYTHON, "-c", "import sys; print(*sys.version_info[:2])"]).split()) != ["3", "11"]:
        raise NotBuilt(f"the daemon's .deb needs Debian 12 to build: {PYTHON} is Python {'.'.join(version)}, not 3.11")
    command = [PYTHON, "-P", "-s", "-S", "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    output([*command, "-s", str(site), "-p", installed, str(site)], env=environment())


def glibc(wheels: Sequence[Path]) -> str:
    """Return the oldest glibc for which all wheels were built."""
    minors = [min(int(found) for found in GLIBC.findall(wheel.name) or [OLD_GLIBC]) for wheel in wheels]
    return f"2.{max(minors)}"
