"""Makes Python agents for a test, with their own fencing library or Debian's, and runs them warm."""

from pathlib import Path
from typing import Final

from fenced.drivers.agents.driver import ENVIRONMENT
from fenced.drivers.keeper.client import Finished, Keeper
from fenced.drivers.keeper.connection import Program
from tests.net import until

DEBIAN: Final = Path("/usr/share/fence")
SHEBANG: Final = "#!/usr/bin/python3 -tt"


def make_library(directory: Path, body: str = "VERSION = 1") -> Path:
    """Make a `fencing` library that is not Debian's."""
    library = directory / "library"
    library.mkdir(exist_ok=True)
    (library / "fencing.py").write_text(f"{body}\n")
    return library


def make_python_agent(directory: Path, body: str, *, library: Path = DEBIAN, name: str = "fence_python") -> Path:
    path = directory / name
    path.write_text(f'{SHEBANG}\nimport sys\nsys.path.append("{library}")\nimport fencing\n{body}\n')
    path.chmod(0o755)
    return path


def program(path: Path, parameters: str = "") -> Program:
    return Program(
        argv=(str(path),), environment=ENVIRONMENT, parameters=parameters.encode(), kept_bytes_max=1024 * 1024
    )


async def warmed(
    keeper: Keeper, path: Path, parameters: str = "action=metadata\n", *, other_than: int | None = None
) -> int:
    """Wait for a template other than that one; return its pid. It takes one plain call or more."""

    async def is_ready() -> bool:
        await keeper.run(program(path, parameters), timeout_seconds=20)
        return bool(set(keeper.template_pids) - {other_than})

    await until(is_ready, what="a template is ready")
    (pid,) = set(keeper.template_pids) - {other_than}
    return pid


async def said(keeper: Keeper, path: Path, parameters: str = "") -> str:
    """Return a call's output; the call must succeed."""
    finished: Finished = await keeper.run(program(path, parameters), timeout_seconds=20)
    assert (finished.status, finished.is_clean, finished.stderr.text) == (0, True, "")
    return finished.stdout.text


def is_forked(pid: int) -> bool:
    """Return whether a process came from a template: /proc then shows the template's command line."""
    return b"warm_template" in Path(f"/proc/{pid}/cmdline").read_bytes()
