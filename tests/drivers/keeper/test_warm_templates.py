"""The life of a template: start, wear, death; no agent is lost, started twice or left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from fenced.drivers.keeper.client import Ending, Finished, Keeper
from fenced.drivers.processes import kill_survivors, started_of
from fenced.ports.devices import Started
from tests.drivers.keeper.owners import Owner
from tests.drivers.keeper.warm import is_forked, make_library, make_python_agent, program, said, warmed
from tests.drivers.programs import descriptors, is_alive, pid_in, starts_into
from tests.net import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="the machine has no Python of its own"),
]

QUICK: Final = "if sys.stdin.read() == 'quick': sys.exit()\n"
NAMES: Final = ("agent", "child", "forgotten")
UNSHAREABLE: Final = {
    "not found": "raise ImportError('broken')",
    "raises": "1 / 0",
    "no Python": "this is no Python",
    "exits": "import sys; sys.exit(3)",
    "crashes": "import os; os.abort()",
    "starts a thread": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "holds a file": "left = open('/dev/null')",
    "handles a signal": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "changes the path": "import sys; sys.path.insert(0, 'here')",
    "changes the directory": "import os; os.chdir('/etc')",
    "is replaced while it loads": "import os; os.utime(__file__)",
}
"""Libraries that a template can't share."""


@pytest.fixture
async def warm(marker: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    """Templates may restart at once."""
    monkeypatch.setattr("fenced.drivers.keeper.warm_agents.RESTART_SECONDS", 0.0)
    async with Keeper(marker=marker, has_warm_agents=True) as running:
        yield running


def branching(directory: Path) -> Path:
    """An agent with a child and a daemonised grandchild (double fork, setsid, empty environment);
    each writes its pid.
    """
    script = "echo $$ > {}; exec sleep 300"
    agent, child, forgotten = (directory / name for name in NAMES)
    body = f"""{QUICK}import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sh", "-c", "{script.format(child)}"])
subprocess.run(["sh", "-c", "(setsid env -i /bin/sh -c '{script.format(forgotten)}' &)"])
open("{agent}", "w").write(str(os.getpid()))
time.sleep(300)"""
    return make_python_agent(directory, body, library=make_library(directory))


async def branched(directory: Path) -> list[int]:
    """The three pids, once they are written."""
    await until(lambda: all(pid_in(directory / name) for name in NAMES), what="all have written their pid")
    return [pid for name in NAMES if (pid := pid_in(directory / name))]


async def all_die(*pids: int) -> None:
    await until(lambda: not any(is_alive(pid) for pid in pids), what="all are dead")


async def test_the_first_call_is_plain_and_waits_for_nothing(warm: Keeper, tmp_path: Path) -> None:
    path = make_python_agent(tmp_path, "print('here')", library=make_library(tmp_path))
    assert await said(warm, path) == "here\n"
    await warmed(warm, path)
    assert await said(warm, path) == "here\n"


async def test_it_can_be_turned_off(keeper: Keeper, tmp_path: Path) -> None:
    path = make_python_agent(tmp_path, "print(open('/proc/self/cmdline').read())", library=make_library(tmp_path))
    for _ in range(2):
        assert "warm_template" not in await said(keeper, path)
    assert keeper.template_pids == ()


@pytest.mark.parametrize(
    "head",
    ["#!/bin/sh\nimport fencing 2>/dev/null; echo here", "#!/usr/bin/python3 -tt\nprint('here')",
     "#!/usr/bin/env python3\nimport sys\nsys.path.append('library')\nprint('here')",
     "#!/usr/bin/python3 -I\nprint('here')"],
    ids=["shell", "without the library", "by env", "isolated"],
)  # fmt: skip
async def test_other_programs_start_plainly(warm: Keeper, tmp_path: Path, head: str) -> None:
    path = tmp_path / "fence_other"
    path.write_text(f"{head}\n")
    path.chmod(0o755)
    for _ in range(3):
        assert await said(warm, path) == "here\n"
    assert warm.template_pids == ()


@pytest.mark.parametrize("library", UNSHAREABLE.values(), ids=UNSHAREABLE)
async def test_what_can_t_be_shared_starts_plainly(warm: Keeper, tmp_path: Path, library: str) -> None:
    path = make_python_agent(tmp_path, "print('here')", library=make_library(tmp_path, library))
    first = await warm.run(program(path), timeout_seconds=20)
    for _ in range(5):
        again = await warm.run(program(path), timeout_seconds=20)
        assert (again.ending, again.status, again.stdout.text) == (first.ending, first.status, first.stdout.text)
        assert warm.template_pids == ()


async def test_a_library_that_never_loads_delays_no_call(
    warm: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fenced.drivers.keeper.warm_agents.START_SECONDS_MAX", 0.2)
    loading = tmp_path / "loading"
    hang = (
        "import os, sys, time\n"
        f"if 'agent' not in sys.argv[0]: open('{loading}', 'w').write(str(os.getpid())); time.sleep(300)"
    )
    path = make_python_agent(tmp_path, "print('here')", library=make_library(tmp_path, hang), name="fence_agent")
    assert await said(warm, path) == "here\n"
    await until(lambda: pid_in(loading) is not None)
    first = pid_in(loading)
    assert first is not None

    async def is_given_up() -> bool:
        assert await said(warm, path) == "here\n"
        return not is_alive(first)

    await until(is_given_up, what="the template that never became ready is dead")


async def test_a_large_daemon_has_templates_too(warm: Keeper, tmp_path: Path) -> None:
    """The daemon's memory counts in a template's peak size, but not in its present size."""
    path = make_python_agent(tmp_path, "", library=make_library(tmp_path))
    ballast = b"x" * (300 * 1024 * 1024)
    pid = await warmed(warm, path)
    del ballast
    for _ in range(3):
        await said(warm, path)
    assert warm.template_pids == (pid,)


async def test_a_changed_agent_is_run_as_it_is_now(warm: Keeper, tmp_path: Path) -> None:
    library = make_library(tmp_path)
    path = make_python_agent(tmp_path, "print('old')", library=library)
    pid = await warmed(warm, path)
    assert await said(warm, path) == "old\n"
    make_python_agent(tmp_path, "print('new')", library=library)
    assert await said(warm, path) == "new\n"
    path.write_text("#!/bin/sh\necho shell\n")
    assert await said(warm, path) == "shell\n"
    path.chmod(0o644)
    assert (await warm.run(program(path), timeout_seconds=20)).ending is Ending.NOT_STARTED
    path.unlink()
    assert (await warm.run(program(path), timeout_seconds=20)).ending is Ending.NOT_STARTED
    assert warm.template_pids == (pid,)


async def test_a_changed_library_counts_from_the_next_call_on(warm: Keeper, tmp_path: Path) -> None:
    path = make_python_agent(tmp_path, "print(fencing.VERSION)", library=make_library(tmp_path))
    old = await warmed(warm, path)
    assert await said(warm, path) == "1\n"
    make_library(tmp_path, "VERSION = 22")
    assert await said(warm, path) == "22\n"
    new = await warmed(warm, path, other_than=old)
    assert await said(warm, path) == "22\n"
    assert new != old
    await all_die(old)


async def test_a_template_that_is_replaced_ends_its_calls_first(warm: Keeper, tmp_path: Path) -> None:
    done = tmp_path / "done"
    body = f"{QUICK}import os, time\nwhile not os.path.exists('{done}'): time.sleep(0.02)\nprint(fencing.VERSION)"
    path = make_python_agent(tmp_path, body, library=make_library(tmp_path))
    old = await warmed(warm, path, "quick")
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        long = tasks.create_task(
            warm.run(program(path, "go"), timeout_seconds=60, on_started=starts_into(seen)), name="long"
        )
        await until(lambda: bool(seen))
        make_library(tmp_path, "VERSION = 22")
        await warmed(warm, path, "quick", other_than=old)
        assert is_alive(old)
        done.touch()
    assert (long.result().stdout.text, long.result().is_clean) == ("1\n", True)
    await all_die(old)


async def test_the_deadline_kills_all_that_it_started(warm: Keeper, tmp_path: Path) -> None:
    path = branching(tmp_path)
    await warmed(warm, path, "quick")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(warm.run(program(path, "go"), timeout_seconds=3.0), name="late")
        pids = await branched(tmp_path)
        assert is_forked(pids[0])
    assert (running.result().ending, running.result().is_clean) == (Ending.TIMED_OUT, True)
    assert not any(is_alive(pid) for pid in pids)


async def test_when_the_template_is_killed_its_agents_die_and_nothing_is_started_again(
    warm: Keeper, tmp_path: Path
) -> None:
    path = branching(tmp_path)
    template = await warmed(warm, path, "quick")
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            warm.run(program(path, "go"), timeout_seconds=60, on_started=starts_into(seen)), name="bereaved"
        )
        pids = await branched(tmp_path)
        os.kill(template, signal.SIGKILL)
        finished: Finished = await running
    assert (finished.ending, finished.is_clean) == (Ending.LOST, False)
    assert [started.pid for started in seen] == pids[:1]
    await all_die(*pids[:2])
    forgotten = started_of(pids[2])
    if forgotten is not None:  # without our marker it is found by its journalled identity alone, as after a plain start
        os.kill(pids[2], signal.SIGKILL)
    assert await said(warm, path, "quick") == ""
    assert await warmed(warm, path, "quick", other_than=template) != template


async def test_when_the_plain_keeper_is_killed_warm_agents_go_on(warm: Keeper, tmp_path: Path) -> None:
    body = f"{QUICK}print('done')"
    path = make_python_agent(tmp_path, body, library=make_library(tmp_path))
    await warmed(warm, path, "quick")

    async def on_started(started: Started) -> None:
        assert is_forked(started.pid)
        assert warm.pid is not None
        os.kill(warm.pid, signal.SIGKILL)
        await all_die(warm.pid)

    finished = await warm.run(program(path, "go"), timeout_seconds=20, on_started=on_started)
    assert (finished.ending, finished.stdout.text, finished.is_clean) == (Ending.EXITED, "done\n", True)


async def test_a_template_that_does_not_answer_is_replaced(
    warm: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fenced.drivers.keeper.client.KILL_SECONDS", 0.3)
    path = branching(tmp_path)
    template = await warmed(warm, path, "quick")
    os.kill(template, signal.SIGSTOP)
    finished = await warm.run(program(path, "go"), timeout_seconds=0.3)
    assert (finished.ending, finished.is_clean) == (Ending.LOST, False)
    assert pid_in(tmp_path / "agent") is None
    await all_die(template)
    assert await warmed(warm, path, "quick", other_than=template) != template


@pytest.mark.parametrize("how", ["held", "running"])
async def test_when_the_daemon_is_killed_everything_dies(
    tmp_path: Path, marker: str, owners: list[Owner], how: str
) -> None:
    path = branching(tmp_path)
    owner = Owner(marker, str(path), how, module="tests.drivers.keeper.warm_owner")
    owners.append(owner)
    template = int(owner.line())
    agent = int(owner.line().split()[0])
    assert is_forked(agent)
    pids = [agent] if how == "held" else await branched(tmp_path)
    owner.kill()
    await all_die(template, owner.keeper_pid, *pids)
    assert how == "running" or pid_in(tmp_path / "agent") is None, "it acted without parameters"


async def test_survivors_of_a_life_whose_template_died_too_are_found_by_their_marker(
    tmp_path: Path, marker: str, owners: list[Owner]
) -> None:
    """A forked agent's environment in /proc is its template's; its children have their own."""
    path = branching(tmp_path)
    owner = Owner(marker, str(path), "running", module="tests.drivers.keeper.warm_owner")
    owners.append(owner)
    template = int(owner.line())
    started = owner.line().split()
    pids = await branched(tmp_path)
    for pid in (template, owner.keeper_pid, pids[0]):
        os.kill(pid, signal.SIGSTOP)
    owner.kill()
    os.kill(owner.keeper_pid, signal.SIGKILL)
    forgotten = started_of(pids[2])
    assert forgotten is not None
    killed = await kill_survivors(markers=(marker,), processes=[(pids[0], started[1]), (pids[2], forgotten)])
    # The agent dies with its template, whichever of the two is found first.
    assert {template, *pids[1:]} <= {survivor.pid for survivor in killed}
    await all_die(template, *pids)


async def test_each_call_is_run_once_while_templates_are_killed(warm: Keeper, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    body = f"import os\nran = os.open('{ran}', os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
    body += "os.write(ran, sys.stdin.buffer.read() + b'\\n')"
    path = make_python_agent(tmp_path, body, library=make_library(tmp_path))
    await warmed(warm, path, "first")
    slots = asyncio.Semaphore(8)

    async def one(number: int) -> Finished:
        async with slots:
            if number % 25 == 10:
                for pid in warm.template_pids:
                    os.kill(pid, signal.SIGKILL)
            if number % 25 == 20:
                make_library(tmp_path, f"VERSION = {number}")
            return await warm.run(program(path, str(number)), timeout_seconds=30)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(number), name=f"call {number}") for number in range(100)]
    lines = ran.read_text().split()
    for number, task in enumerate(running):
        finished = task.result()
        assert finished.ending in (Ending.EXITED, Ending.LOST)
        assert lines.count(str(number)) <= 1
        if finished.ending is Ending.EXITED and finished.status == 0:
            assert lines.count(str(number)) == 1
    assert sum(task.result().ending is Ending.EXITED for task in running) >= 50


async def test_two_hundred_at_once_all_end_and_leave_no_descriptor(warm: Keeper, tmp_path: Path) -> None:
    body = "print(sys.stdin.read(), end='')\nsys.exit(5)"
    path = make_python_agent(tmp_path, body, library=make_library(tmp_path))
    await warmed(warm, path)
    before = descriptors()
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(
                warm.run(
                    program(path, f"{number}\n"),
                    timeout_seconds=60,
                    on_started=starts_into(seen) if number % 2 else None,
                ),
                name=f"call {number}",
            )
            for number in range(200)
        ]
    assert [task.result().stdout.text for task in running] == [f"{number}\n" for number in range(200)]
    assert {(task.result().status, task.result().is_clean) for task in running} == {(5, True)}
    assert len({started.pid for started in seen}) == 100
    assert descriptors() == before


async def test_a_closed_keeper_leaves_no_template(marker: str, tmp_path: Path) -> None:
    path = make_python_agent(tmp_path, "", library=make_library(tmp_path))
    before = descriptors()
    async with Keeper(marker=marker, has_warm_agents=True) as keeper:
        template = await warmed(keeper, path)
    assert not is_alive(template)
    assert descriptors() == before
    assert (await keeper.run(program(path), timeout_seconds=10)).ending is Ending.NOT_STARTED
