"""What every package says about the source: its version, its time, its maintainer."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION: Final[str] = PROJECT["version"]
SUMMARY: Final[str] = PROJECT["description"]


class NotBuilt(Exception):
    """A package can't be built here. The text says why, and what to do."""


def epoch() -> int:
    """Return the time that the packages carry: SOURCE_DATE_EPOCH, or that of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdigit():
        return int(given)
    try:
        printed = output(["git", "-C", str(ROOT), "log", "-1", "--format=%ct"])
    except NotBuilt as exc:
        raise NotBuilt("this tree has no git history; set SOURCE_DATE_EPOCH to the seconds since 1970") from exc
    return int(printed)


def maintainer() -> str:
    """Return who answers for these packages, named as Debian's own tools expect it."""
    name = os.environ.get("DEBFULLNAME", "The fenced developers")
    return f"{name} <{os.environ.get('DEBEMAIL', 'fenced@fenced.example.org')}>"


def environment() -> dict[str, str]:
    """Return the environment of each build step; the machine's locale, time zone and Python settings are not in it."""
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "TMPDIR"}}
    fixed = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    return kept | fixed | {"SOURCE_DATE_EPOCH": str(epoch())}


def output(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program; return what it printed. Raises NotBuilt with its errors."""
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise NotBuilt(f"no program {command[0]}; install the Debian packages dpkg, lintian and rpm") from exc
    if done.returncode != 0:
        raise NotBuilt(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def put(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file of a package, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
