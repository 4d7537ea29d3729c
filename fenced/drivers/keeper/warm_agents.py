"""Manages warm templates: interpreters that have the libraries of Python agents loaded and fork agents quickly.

It decides which agents a template can serve, and starts and ends templates. A template runs agents itself, because it
is a keeper (`programs/warm_template.py`). No call waits for a template: while none is ready, agents start plainly.
"""

import asyncio
import contextlib
import functools
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.drivers.keeper.connection import Call, Connection, Program
from fenced.drivers.processes import MARKER_NAME
from fenced.drivers.programs import WARM_TEMPLATE

START_SECONDS_MAX: Final = 10.0
"""A template that is not ready by then is killed."""
RESTART_SECONDS: Final = 10.0
"""The pause before the same template starts again: an upgrade replaces many files,
and a broken library stays broken."""
TEMPLATES_MAX: Final = 8
STANDARD_ERROR: Final = 2
AGENTS_MAX: Final = 1024
"""Limit for remembered agents."""
HEAD_BYTES: Final = 16 * 1024

SHEBANG: Final = re.compile(
    r"#! ?(?P<interpreter>/\S*/(?:python3(?:\.\d+)?|platform-python))(?: +-(?P<flags>[tEsSB]+))?"
)
"""Shebangs with flags that a template can share: none that affects the program's path or output."""
LIBRARY: Final = re.compile(r"""^sys\.path\.append\(["']([^"']+)["']\)""", re.MULTILINE)
IMPORTS_FENCING: Final = re.compile(r"^(?:from|import) fencing\b", re.MULTILINE)
MODULES: Final = ("fencing", "json", "random", "tempfile")
"""Loaded in every template: the library, and small modules that agents import on a call."""
HEAVY: Final = {"requests": re.compile(r"^(?:from|import)[ \w,]* requests\b", re.MULTILINE)}
"""Modules that get a separate template, because they make each fork more expensive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What agents must share to use one template. `directory`: the agents', where Python searches for modules first."""

    shebang: str
    interpreter: str
    flags: str
    library: str
    directory: str
    modules: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


class Template(Connection):
    """The daemon's side of a template: a keeper that also reports when it is ready and when it is worn."""

    def __init__(self, recipe: Recipe, *, marker: str) -> None:
        """Raises OSError."""
        self.is_ready = False
        self.is_worn = False
        super().__init__(marker=marker, start=functools.partial(start_template, recipe, marker))
        self.started_at = asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        """Whether its process has ended."""
        return self._exited.is_set()

    def _take(self, fields: list[bytes]) -> None:
        if fields[1]:
            super()._take(fields)
        elif fields[0] == b"ready":
            self.is_ready = True
        elif fields[0] == b"worn":
            self.is_worn = True
            self._end_when_idle()

    def drop(self, call: Call) -> None:
        super().drop(call)
        self._end_when_idle()

    def _end_when_idle(self) -> None:
        """End a worn template after its last call, by closing its channel."""
        if self.is_worn and self.calls_count == 0:
            self._lose()


class WarmAgents:
    """The templates of one daemon. Each starts when the first agent needs it."""

    def __init__(self, *, marker: str) -> None:
        self._marker = marker
        self._templates: dict[Recipe, Template] = {}
        self._leaving: list[Template] = []
        """Replaced templates that have not ended yet."""
        self._tried_at: dict[Recipe, float] = {}
        self._recipes: dict[tuple[object, ...], tuple[tuple[int, ...], Recipe | None]] = {}
        """By the agent's path and environment, with the state of the agent's file."""

    async def close(self) -> None:
        """Kill all running agents and end all templates."""
        await asyncio.gather(*(template.close() for template in (*self._templates.values(), *self._leaving)))

    @property
    def pids(self) -> tuple[int, ...]:
        """The templates that are ready."""
        return tuple(
            template.pid for template in self._templates.values() if template.is_ready and not template.is_lost
        )

    def template_for(self, program: Program) -> Template | None:
        """Return a template that is ready for this program; None: start it plainly."""
        recipe = self._recipe_for(program)
        if recipe is None:
            return None
        template = self._templates.get(recipe)
        if template is not None and self._is_done(template):
            self._part_from(recipe, template)
            template = None
        if template is None:
            self._start(recipe)
            return None
        return template if template.is_ready else None

    def _is_done(self, template: Template) -> bool:
        if template.is_lost or template.is_worn:
            return True
        return not template.is_ready and _now() > template.started_at + START_SECONDS_MAX

    def _part_from(self, recipe: Recipe, template: Template) -> None:
        """Drop a template. A worn one ends with its last call; one that never became ready ends now."""
        if not template.is_worn:
            template.discard()
        del self._templates[recipe]
        self._leaving = [leaving for leaving in (*self._leaving, template) if not leaving.is_over]

    def _start(self, recipe: Recipe) -> None:
        """Start a template unless one was tried just now or too many run. A failure costs speed, not a call."""
        at = _now()
        tried_at = self._tried_at.get(recipe)
        is_soon = tried_at is not None and at < tried_at + RESTART_SECONDS
        if is_soon or len(self._templates) + len(self._leaving) >= TEMPLATES_MAX:
            return
        self._tried_at = {known: when for known, when in self._tried_at.items() if at < when + RESTART_SECONDS}
        self._tried_at[recipe] = at
        with contextlib.suppress(OSError):
            self._templates[recipe] = Template(recipe, marker=f"{self._marker}/{secrets.token_hex(4)}")

    def _recipe_for(self, program: Program) -> Recipe | None:
        """Return the agent's recipe, from the head of its file; read once per state of the file."""
        if len(program.argv) != 1:
            return None
        (path,) = program.argv
        try:
            found = os.stat(path)  # noqa: PTH116 - each call pays for it
            at = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            key = (path, *program.environment.items())
            known = self._recipes.get(key)
            if known is None or known[0] != at:
                if len(self._recipes) >= AGENTS_MAX:
                    self._recipes.clear()
                known = self._recipes[key] = (at, recipe_of(Path(path), program.environment))
        except OSError:
            return None
        return known[1]


def recipe_of(path: Path, environment: Mapping[str, str]) -> Recipe | None:
    """Return the recipe for a program; None unless it is Python and imports `fencing`. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode(errors="replace")
    first = head.partition("\n")[0].rstrip(" \t")
    shebang = SHEBANG.fullmatch(first)
    if shebang is None or IMPORTS_FENCING.search(head) is None:
        return None
    library = LIBRARY.search(head)
    return Recipe(
        shebang=first,
        interpreter=shebang["interpreter"],
        flags=shebang["flags"] or "",
        library=library[1] if library is not None else "",
        directory=str(path.resolve().parent),
        modules=(*MODULES, *(name for name, imported in HEAVY.items() if imported.search(head))),
        environment=tuple(environment.items()),
    )


def start_template(recipe: Recipe, marker: str, channel: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the agents' interpreter in the agents' environment, on pipes as an agent;
    it then takes over standard error.

    Its environment carries the marker from the start, because /proc shows this environment for forked agents too, and
    survivors are found by it.
    """
    flags = [f"-{recipe.flags}"] if recipe.flags else []
    with os.fdopen(os.dup(STANDARD_ERROR), "wb", buffering=0) as errors:
        fds = [channel.fileno(), errors.fileno()]
        ours = [str(os.getpid()), *map(str, fds), recipe.shebang, recipe.library, recipe.directory, *recipe.modules]
        process = subprocess.Popen(
            [recipe.interpreter, *flags, str(WARM_TEMPLATE), *ours],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            env={**dict(recipe.environment), MARKER_NAME: f"{marker}/0"},
            cwd="/",
            start_new_session=True,
        )
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    return process


def _now() -> float:
    return asyncio.get_running_loop().time()
