"""The composition root of `fenced lab`: a ground, a state directory, the lab, and the story or a console.

`fenced.lab` does the work. Whatever ends the lab, no process of it survives.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fenced.lab.console import Console
from fenced.lab.database import PREFIX
from fenced.lab.errors import LabError
from fenced.lab.ground import Ground, PlainGround
from fenced.lab.island import Island
from fenced.lab.laboratory import Lab, Plan, building
from fenced.lab.namespaces import why_not
from fenced.lab.programs import tail
from fenced.lab.saving import SavingStory
from fenced.lab.settings import SITE
from fenced.lab.story import Blow, Story, Waterfall
from fenced.lab.takeover import Takeover

KEPT: Final = "kept"
HEADLESS_SECONDS: Final = 90.0
TAKEOVER_SECONDS: Final = 90.0
"""The most that the second story of a lab with two controllers may take by default."""
SAVING_SECONDS: Final = 60.0
"""The most that it may take by default until a host sleeps."""
LINES_MAX: Final = 100
LINE_BYTES_MAX: Final = 1024
STDIN: Final = 0
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabOptions:
    """What the command line requests. `host`: the victim; None: the last but one, or none in a lab that stays up.
    `for_seconds`: how long the lab stays up, or the most that the story may take."""

    plan: Plan = field(default_factory=Plan)
    host: str | None = None
    blow: Blow = Blow.CRASH
    for_seconds: float | None = None
    is_headless: bool = False
    directory: Path | None = None
    is_kept: bool = False
    is_plain: bool = False

    def __post_init__(self) -> None:
        if self.host is not None and self.host not in self.plan.names:
            raise LabError(f"there is no host {self.host}; there are {', '.join(self.plan.names)}")
        if self.is_headless and self.plan.is_saving and self.plan.controllers > 1:
            raise LabError("the story of power saving has one controller: leave out --headless, and try it by hand")

    @property
    def story_seconds(self) -> float:
        """How long the stories may take by default."""
        more = TAKEOVER_SECONDS if self.plan.controllers > 1 else SAVING_SECONDS if self.plan.is_saving else 0.0
        return HEADLESS_SECONDS + more


async def run_lab(options: LabOptions, *, say: Say, waterfall: Waterfall) -> int:
    """Run until the story ends, the time is over, `quit` is typed, or a signal arrives. Return the exit status."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    with state_directory(options) as directory:
        try:
            await _run(options, directory, say, waterfall)
        except asyncio.CancelledError:
            say("fenced lab: ended by a signal")
            return 1 if options.is_headless else 0
        except (LabError, BaseExceptionGroup) as exc:
            for error in _lab_errors(exc):
                say(f"fenced lab: {error}")
            for log in options.plan.controller_logs:
                for line in tail(directory / log):
                    say(f"  {log.removesuffix('.log')}: {line}")
            return 1
    return 0


async def _run(options: LabOptions, directory: Path, say: Say, waterfall: Waterfall) -> None:
    begun = time.monotonic()
    ground = await _ground(options, say)
    async with building(options.plan, ground, directory) as lab:
        if options.is_headless:
            bound = options.story_seconds if options.for_seconds is None else options.for_seconds
            await _tell(lab, options, say, waterfall, seconds=max(bound - (time.monotonic() - begun), 0.0))
            return
        for line in _welcome(lab, options):
            say(line)
        async with asyncio.TaskGroup() as tasks:
            story = None
            if options.host is not None:
                telling = _tell(lab, options, say, waterfall, seconds=options.story_seconds)
                story = tasks.create_task(telling, name="story")
            is_saving = options.plan.is_saving
            console = Console(lab.rack, lab.hosts, lab.faults, lab.controllers, is_saving=is_saving)
            await _listen(console, say, seconds=options.for_seconds)
            if story is not None:
                story.cancel()


async def _ground(options: LabOptions, say: Say) -> Ground:
    """Use namespaces if possible; otherwise say why not and what follows."""
    why = "not requested" if options.is_plain else await why_not()
    if why is None:
        island = Island()
        await island.lay()
        say("each host has its own network and process namespace; a power cut pulls its cable, then kills")
        return island
    say(f"no namespaces ({why}): hosts are process groups; a power cut kills them, so their connections close cleanly")
    return PlainGround()


async def _tell(lab: Lab, options: LabOptions, say: Say, waterfall: Waterfall, *, seconds: float) -> None:
    """Run the story; with two controllers, run another one in which the first of them dies."""
    begun, host = time.monotonic(), options.host or options.plan.names[-2]
    kind = SavingStory if options.plan.is_saving else Story
    story = kind(lab, host=host, say=say, waterfall=waterfall)
    await story.run(options.blow, timeout_seconds=seconds)
    if options.plan.controllers > 1:
        active, standby = lab.controllers
        takeover = Takeover(lab, host=host, active=active, standby=standby, say=say)
        await takeover.run(options.blow, timeout_seconds=max(seconds - (time.monotonic() - begun), 0.0))


def _welcome(lab: Lab, options: LabOptions) -> list[str]:
    plan = options.plan
    pair = "; two controllers" if plan.controllers > 1 else ""
    return [
        f"a rack with {plan.hosts} hosts on two power units, {plan.proxies} proxies and one that answers nothing{pair}",
        *(f"  API     {each.url}" + (f" ({each.name})" if pair else "") for each in lab.controllers),
        f"  bus     mqtt://{lab.broker}, topics fenced/v1/{SITE}/#",
        f"  state   {lab.layout.directory} (configuration, logs)",
        "",
        "in another terminal:",
        f"  export FENCED_URL={lab.controllers.urls}",
        "  fencectl hosts",
        f"  fencectl restart {plan.names[0]} --force --reason 'to see it' --wait",
        "",
        f"here: {f'work {plan.names[0]} 2, ' if plan.is_saving else ''}kill {plan.names[-2]}, hosts, help, quit",
    ]


async def _listen(console: Console, say: Say, *, seconds: float | None) -> None:
    """Obey typed lines until `quit` or until the time is over; end of input changes nothing."""
    lines: asyncio.Queue[str] = asyncio.Queue(maxsize=LINES_MAX)
    reader = threading.Thread(target=_read, args=(asyncio.get_running_loop(), lines), name="console", daemon=True)
    reader.start()
    try:
        async with asyncio.timeout(seconds):
            while (line := await lines.get()).strip() != "quit":
                try:
                    answer = console.obey(line)
                except LabError as error:
                    answer = [str(error)]
                for each in answer:
                    say(each)
    except TimeoutError:
        return


def _read(loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str]") -> None:
    """Read standard input in a thread: making a terminal non-blocking for reading makes printing non-blocking, too.

    It avoids `sys.stdin`, because a thread that is still reading would hold its lock when the interpreter ends.
    """

    def deliver(text: str) -> None:
        for line in text.splitlines():
            if not lines.full():
                lines.put_nowait(line)

    pending = b""
    while data := os.read(STDIN, LINE_BYTES_MAX):
        whole, newline, pending = (pending + data).rpartition(b"\n")
        pending = pending[-LINE_BYTES_MAX:]
        try:
            loop.call_soon_threadsafe(deliver, (whole + newline).decode(errors="replace"))
        except RuntimeError:
            return  # the lab ended


@contextmanager
def state_directory(options: LabOptions) -> Iterator[Path]:
    """Yield the given directory, or a new one that is removed afterwards unless it is to be kept. Raises LabError."""
    if options.directory is not None:
        try:
            options.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_used = any(options.directory.iterdir())
        except OSError as exc:
            raise LabError(f"can't use {options.directory}: {exc.strerror}; give another directory") from exc
        if is_used:
            raise LabError(f"{options.directory} is not empty; give an empty directory for the lab")
        yield options.directory.resolve()
        return
    sweep(Path(tempfile.gettempdir()))
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
    if options.is_kept:
        (directory / KEPT).touch()
    try:
        yield directory
    finally:
        if not options.is_kept:
            shutil.rmtree(directory, ignore_errors=True)


def sweep(temporary: Path) -> None:
    """Remove the directories of killed labs: this user's, whose process is gone."""
    for left in temporary.glob(f"{PREFIX}-*-*"):
        number = left.name.split("-")[2]
        is_ours = not left.is_symlink() and left.is_dir() and left.stat().st_uid == os.geteuid()
        if is_ours and number.isdecimal() and not (left / KEPT).exists() and not Path(f"/proc/{number}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _lab_errors(exc: BaseException) -> list[LabError]:
    """Return every LabError in it, each once. Raises `exc` if it holds any other exception."""
    if isinstance(exc, LabError):
        return [exc]
    if isinstance(exc, BaseExceptionGroup):
        found = [error for inner in exc.exceptions for error in _lab_errors(inner)]
        return list(dict.fromkeys(found))
    raise exc
