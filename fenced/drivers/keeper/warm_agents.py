"""Warm agents: Python agents are forked from an interpreter that has their libraries loaded, where there is one.

Knows which agents can be started so, and the templates' lives; how an agent is run is the keeper's, which a template is
(`warm_template`). One rule: nothing waits for a template. Until one is ready, and whenever it is not, agents start plainly.
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
"""A template that is not ready by then is given up."""
RESTART_SECONDS: Final = 10.0
"""No second start of the same template before: an upgrade replaces many files, a broken library stays broken."""
TEMPLATES_MAX: Final = 8
STANDARD_ERROR: Final = 2
AGENTS_MAX: Final = 1024
"""Agents whose head is remembered."""
HEAD_BYTES: Final = 16 * 1024

SHEBANG: Final = re.compile(
    r"#! ?(?P<interpreter>/\S*/(?:python3(?:\.\d+)?|platform-python))(?: +-(?P<flags>[tEsSB]+))?"
)
"""Flags that a template can share; none that changes how a program's own path or output is treated."""
LIBRARY: Final = re.compile(r"""^sys\.path\.append\(["']([^"']+)["']\)""", re.MULTILINE)
IMPORTS_FENCING: Final = re.compile(r"^(?:from|import) fencing\b", re.MULTILINE)
MODULES: Final = ("fencing", "json", "random", "tempfile")
"""Of every template: the library, and small ones that agents load when they are called."""
HEAVY: Final = {"requests": re.compile(r"^(?:from|import)[ \w,]* requests\b", re.MULTILINE)}
"""Worth a template of their own: they make each fork dearer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What agents must have in common to come from one template. `directory`: where Python looks first, theirs."""

    shebang: str
    interpreter: str
    flags: str
    library: str
    directory: str
    modules: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


class Template(Connection):
    """A template, seen from the daemon: a keeper that says when it is ready, and when it is no longer fit."""

    def __init__(self, recipe: Recipe, *, marker: str) -> None:
        """Raises OSError."""
        self.is_ready = False
        self.is_worn = False
        super().__init__(marker=marker, start=functools.partial(start_template, recipe, marker))
        self.started_at = asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        """Its process has ended."""
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
        """One that is worn gets no new calls; without its channel it ends."""
        if self.is_worn and self.calls_count == 0:
            self._lose()


class WarmAgents:
    """The templates of one daemon, started when an agent first asks for one."""

    def __init__(self, *, marker: str) -> None:
        self._marker = marker
        self._templates: dict[Recipe, Template] = {}
        self._leaving: list[Template] = []
        """Replaced, and not ended yet."""
        self._tried_at: dict[Recipe, float] = {}
        self._recipes: dict[tuple[object, ...], tuple[tuple[int, ...], Recipe | None]] = {}
        """By the agent's path and environment, with the state of the file that it was read from."""

    async def close(self) -> None:
        """Kill all that runs in them and end them."""
        await asyncio.gather(*(template.close() for template in (*self._templates.values(), *self._leaving)))

    @property
    def pids(self) -> tuple[int, ...]:
        """The templates that are ready."""
        return tuple(
            template.pid for template in self._templates.values() if template.is_ready and not template.is_lost
        )

    def template_for(self, program: Program) -> Template | None:
        """A template that is ready for this program; None: there is none (yet), start it plainly."""
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
        """One that is worn ends with its last call, one that never came to be ends now."""
        if not template.is_worn:
            template.discard()
        del self._templates[recipe]
        self._leaving = [leaving for leaving in (*self._leaving, template) if not leaving.is_over]

    def _start(self, recipe: Recipe) -> None:
        """Unless it was tried just now, or too many are there. That it can't be started costs speed, no call."""
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
        """From the head of the agent's file, read once per state of it."""
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
    """What a template for this program must be; None: it is no Python program that imports `fencing`. Raises OSError."""
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
    """The agents' interpreter in the agents' environment. It starts on pipes, as an agent does; our standard error follows.

    The marker is in its environment from the start: /proc shows that of a forked agent no other, and survivors are found by it.
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
