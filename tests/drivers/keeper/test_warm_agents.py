"""A warm start and a plain start of a program do not differ, not even for the program itself."""

import asyncio
import contextlib
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.keeper.client import Ending, Finished, Keeper
from fenced.ports.devices import Started
from tests.drivers.conftest import Debian
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port
from tests.drivers.keeper.warm import is_forked, make_python_agent, program, said
from tests.drivers.programs import starts_into
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("fence_dummy"), pytest.mark.asyncio(loop_scope="module")]

DEBIAN: Final = Path("/usr/sbin")
CHANCE: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}|0x[0-9a-f]+", re.MULTILINE)
"""Times of log lines, addresses of objects."""

DUMP: Final = r"""
import ctypes, gc, json, os, resource, signal, stat, threading
prctl = ctypes.CDLL(None).prctl
def asked(number):
    value = ctypes.c_int()
    prctl(number, ctypes.byref(value), 0, 0, 0)
    return value.value
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": repr(sys.flags),
    "executable": sys.executable,
    "names": sorted(name for name in globals() if name.startswith("__")), "name": __name__, "file": __file__,
    "main": sys.modules["__main__"].__dict__ is globals(), "fencing's main": fencing.__main__.__dict__ is globals(),
    "loader": [type(__loader__).__name__, __loader__.name, __loader__.path], "spec": repr(__spec__),
    "doc": repr(__doc__), "package": repr(__package__), "cached": repr(__cached__), "builtins": repr(__builtins__),
    "environment": [name for name in os.environ], "values": [v for n, v in os.environ.items() if n != "FENCED_CALL"],
    "for children": os.popen("env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= | cut -d= -f1").read(),
    "marker": os.environ["FENCED_CALL"].count("/"), "cwd": os.getcwd(), "umask": os.umask(0o22), "nice": os.nice(0),
    "descriptors": sorted(
        [int(fd), stat.S_IFMT(os.stat(int(fd)).st_mode)] for fd in os.listdir("/proc/self/fd") if int(fd) < 3),
    "others": [os.path.exists("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2],
    "signals": {
        key: status[key] for key in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "Threads", "NoNewPrivs")},
    "handlers": [repr(signal.getsignal(number)) for number in (1, 2, 13, 15, 17, 25)],
    "wakeup": signal.set_wakeup_fd(-1),
    "limits": open("/proc/self/limits").read(), "command": open("/proc/self/comm").read(),
    "leads": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()], "dies with": asked(2), "subreaper": asked(37),
    "parent": open("/proc/%d/cmdline" % os.getppid()).read().count("FENCED") , "threads": threading.active_count(),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, s.newlines, s.isatty(),
                 s.seekable()] for s in (sys.stdin, sys.stdout, sys.stderr)],
    "gc": [gc.isenabled(), gc.get_threshold()],
    "hooks": [sys.excepthook is sys.__excepthook__, sys.exc_info() == (None, None, None)],
    "parameters": sys.stdin.read(),
}))
"""

ENDS: Final = {
    "falls off the end": "print('done', end='')",
    "exits with a number": "sys.exit(3)",
    "exits with words": "print('out'); sys.exit('words')",
    "exits with nothing": "sys.exit()",
    "raises": "def deep():\n    raise ValueError('wrong')\ndeep()",
    "raises in answer to another":
        "try:\n    1 / 0\nexcept ZeroDivisionError as exc:\n    raise ValueError('wrong') from exc",
    "raises while another is handled": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('wrong')",
    "raises at its first line": "nonesuch",
    "has its own hook": "sys.excepthook = lambda *what: print('hook', what[0], what[2].tb_lineno)\n1 / 0",
    "leaves at once": "import os\nprint('never seen')\nos._exit(5)",
    "has handlers": "import atexit\natexit.register(print, 'first')\natexit.register(lambda: 1 / 0)\nsys.exit(4)",
    "closes its output": "import atexit\natexit.register(sys.stdout.close)\nprint('seen')\nsys.exit(2)",
    "leaves a file open": "left = open(word, 'w')\nleft.write('written')",
    "is interrupted": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)",
    "is terminated": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "hangs up": "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)",
    "writes into a closed pipe": "import os\nr, w = os.pipe()\nos.close(r)\nos.write(w, b'x')",
    "has a thread": "import threading\nthreading.Timer(0.1, print, ['late']).start()\nprint('early')",
    "has children": "import subprocess\nprint(subprocess.run(['sh', '-c', 'cat; exit 3'], input=b'x').returncode)",
    "forks": "import os\nif os.fork() == 0:\n    sys.exit(7)\nprint(os.wait()[1])",
    "recurses": "def f(): f()\ntry:\n    f()\nexcept RecursionError:\n    print('too deep')",
    "is no program": "this is no Python",
    "is of another encoding": "print('\\udcff')",
    "prints at last": "class Last:\n    def __del__(self): print('deleted')\nlast = Last()",
    "deletes": "import os\nclass Last:\n    def __del__(self): os.write(1, b'deleted')\nlast = Last()",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper() -> AsyncIterator[Keeper]:
    async with Keeper(marker=f"test-{uuid.uuid4().hex}") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm() -> AsyncIterator[Keeper]:
    async with Keeper(marker=f"test-{uuid.uuid4().hex}", has_warm_agents=True) as running:
        yield running


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for agents of the tests: those of one folder share a template."""
    return tmp_path_factory.mktemp("agents")


async def forks(warm: Keeper, path: Path, parameters: str = "action=metadata\n") -> None:
    """Wait until a start of this agent is a fork."""

    async def is_forked_now() -> bool:
        forked: list[bool] = []

        async def on_started(started: Started) -> None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may be over by now: look again
                forked.append(is_forked(started.pid))

        await warm.run(program(path, parameters), timeout_seconds=20, on_started=on_started)
        return forked == [True]

    await until(is_forked_now, what=f"{path.name} is forked")


def plainly(finished: Finished) -> tuple[Any, ...]:
    """All that a caller sees, without what differs in each run."""
    texts = (CHANCE.sub("", output.text) for output in (finished.stdout, finished.stderr))
    return finished.ending, finished.status, finished.is_clean, finished.was_fed, *texts


async def both(keeper: Keeper, warm: Keeper, path: Path, parameters: str, *, timeout_seconds: float = 20.0) -> Finished:
    """Run it plain and warm, and compare."""
    seen: list[Started] = []
    forked: list[bool] = []

    async def on_started(started: Started) -> None:
        seen.append(started)
        forked.append(is_forked(started.pid))

    what = program(path, parameters)
    cold = await keeper.run(what, timeout_seconds=timeout_seconds, on_started=starts_into(seen))
    again = await warm.run(what, timeout_seconds=timeout_seconds, on_started=on_started)
    assert plainly(again) == plainly(cold)
    assert forked == [True], "it was started plainly"
    return again


async def test_what_a_program_finds_is_what_a_plain_start_gives_it(
    keeper: Keeper, warm: Keeper, tmp_path: Path
) -> None:
    path = make_python_agent(tmp_path, DUMP)
    await forks(warm, path)
    parameters = "action=status\nplug=1\n"
    cold = json.loads(await said(keeper, path, parameters))
    again = json.loads(await said(warm, path, parameters))
    for key, value in cold.items():
        assert again[key] == value, key
    assert again["parameters"] == parameters


@pytest.mark.parametrize("end", ENDS)
async def test_a_program_ends_the_same_way_warm_and_plain(
    keeper: Keeper, warm: Keeper, agents: Path, tmp_path: Path, end: str
) -> None:
    await forks(warm, make_python_agent(agents, "", name="fence_first"))
    path, file = make_python_agent(agents, f"word = sys.stdin.read()\n{ENDS[end]}"), tmp_path / "left"
    if end == "is no program":  # it is left to the interpreter to say so
        cold, again = [await one.run(program(path), timeout_seconds=20) for one in (keeper, warm)]
        assert plainly(again) == plainly(cold)
        assert "SyntaxError" in again.stderr.text
        return
    await both(keeper, warm, path, str(file))
    if end == "leaves a file open":
        assert file.read_text() == "written"


async def test_every_agent_of_this_machine_describes_itself_alike(
    keeper: Keeper, warm: Keeper, debians: Debian
) -> None:
    """A plain start of each is what the catalogue's tests share. It is run plainly once more if it has more to say."""
    seen: list[Started] = []
    await forks(warm, DEBIAN / "fence_dummy")
    await forks(warm, DEBIAN / "fence_redfish")
    for path in FenceAgents(agent_path=[DEBIAN], keeper=keeper).installed().values():
        what = program(path, "action=metadata\n")
        again = await warm.run(what, timeout_seconds=20, on_started=starts_into(seen))
        kept = debians.said.get(path)
        if kept is not None and not again.stderr.text:
            assert (again.ending, again.status, again.is_clean) == (Ending.EXITED, 0, True), path
            assert again.stdout.text == kept.decode(), path
        else:
            cold = await keeper.run(what, timeout_seconds=20)
            assert plainly(again)[:3] == plainly(cold)[:3], path
            assert plainly(again)[4:] == plainly(cold)[4:], path


@pytest.mark.parametrize(
    ("agent", "parameters"),
    [
        ("fence_dummy", "action=status\ntype=file\nstatus_file=FILE\n"),
        ("fence_dummy", "action=off\ntype=file\nstatus_file=FILE\n"),
        ("fence_dummy", "action=on\ntype=file\nstatus_file=FILE\n"),
        ("fence_dummy", "action=reboot\ntype=file\nstatus_file=FILE\n"),
        ("fence_dummy", "action=monitor\ntype=file\nstatus_file=FILE\nverbose=1\n"),
        ("fence_dummy", "action=list\n"),
        ("fence_dummy", "action=nonesuch\n"),
        ("fence_dummy", "nonesuch=1\naction=status\n"),
        ("fence_dummy", "action=status\ntype=fail\nrandom_sleep_range=nonesuch\n"),
        ("fence_dummy", "not a parameter\n"),
        ("fence_ipmilan", "action=status\n"),
        ("fence_ipmilan", "action=status\nip=127.0.0.1\nusername=a\n"),
        ("fence_ipmilan", "action=nonesuch\nip=127.0.0.1\nusername=a\npassword=b\n"),
        ("fence_apc_snmp", "action=status\n"),
        ("fence_apc_snmp",
         "action=status\nip=127.0.0.1\nudpport=1\nplug=1\nlogin_timeout=1\nsnmp_version=1\ncommunity=x\n"),
        ("fence_redfish",
         "action=status\nip=127.0.0.1\nipport=PORT\nusername=a\npassword=b\nsystems_uri=/redfish/v1/S/1\n"),
        ("fence_redfish", "action=status\n"),
        ("fence_apc", "action=status\nip=127.0.0.1\nipport=PORT\nusername=a\npassword=b\nplug=1\nlogin_timeout=2\n"),
    ],
)  # fmt: skip
@needs("fence_ipmilan", "fence_apc_snmp", "fence_redfish")
async def test_a_call_of_a_real_agent_is_the_same_warm_and_plain(
    keeper: Keeper, warm: Keeper, tmp_path: Path, agent: str, parameters: str
) -> None:
    path, port = DEBIAN / agent, str(free_port())
    await forks(warm, path)

    async def called(one: Keeper) -> tuple[tuple[Any, ...], str]:
        file = tmp_path / ("plain" if one is keeper else "forked")
        file.write_text("on\n")
        what = program(path, parameters.replace("FILE", str(file)).replace("PORT", port))
        finished = await one.run(what, timeout_seconds=20, on_started=starts_into([]))
        return plainly(finished), file.read_text()

    # At once: some wait for an answer that never comes.
    plain, forked = await asyncio.gather(called(keeper), called(warm))
    assert forked == plain


@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_fence_ipmilan_does_the_same_warm_and_plain(keeper: Keeper, warm: Keeper, tmp_path: Path) -> None:
    path, port = DEBIAN / "fence_ipmilan", udp_port()
    login = f"ip=127.0.0.1\nipport={port}\nusername={USERNAME}\nlanplus=1\ncipher=3\n"
    await forks(warm, path)
    with ipmi_sim(tmp_path, port):
        for action, status in (("status", 0), ("off", 0), ("status", 2), ("on", 0), ("status", 0)):
            await warm.run(program(path, f"{login}password={PASSWORD}\naction={action}\n"), timeout_seconds=20)
            done = await both(keeper, warm, path, f"{login}password={PASSWORD}\naction={action}\n")
            assert done.status == status
        refused = await both(keeper, warm, path, f"{login}password=wr0ng\naction=status\n")
        assert refused.status == 1


@needs("fence_ipmilan", "ipmitool")
async def test_a_program_past_its_deadline_is_killed_warm_and_plain(keeper: Keeper, warm: Keeper) -> None:
    """Its child ipmitool waits for a port that never answers."""
    path = DEBIAN / "fence_ipmilan"
    await forks(warm, path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        where = f"ip=127.0.0.1\nipport={silent.getsockname()[1]}\nlanplus=1\ncipher=3\n"
        what = f"{where}username=a\npassword=b\naction=status\n"
        late = await both(keeper, warm, path, what, timeout_seconds=1.0)
    assert late.ending is Ending.TIMED_OUT
    assert late.is_clean


async def test_each_start_has_random_numbers_of_its_own(warm: Keeper, tmp_path: Path) -> None:
    path = make_python_agent(
        tmp_path,
        "import random, tempfile, uuid\nprint(random.random(), next(tempfile._get_candidate_names()), uuid.uuid4())",
    )
    await forks(warm, path)
    texts = [await said(warm, path) for _ in range(3)]
    numbers = [text.split() for text in texts]
    assert all(len(set(column)) == 3 for column in zip(*numbers, strict=True))
