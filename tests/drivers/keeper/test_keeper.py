"""The keeper with real processes: what it runs, what it kills, and what it reports if it can't know."""

import asyncio
import os
import resource
import shlex
import signal
from pathlib import Path

import pytest

from fenced.drivers.keeper import client
from fenced.drivers.keeper.client import Ending, Finished, Keeper
from fenced.drivers.keeper.connection import Connection, Program
from fenced.drivers.processes import started_of
from fenced.drivers.programs.keeper import now as boottime
from fenced.ports.devices import Started
from tests.drivers.programs import descriptors, is_alive, pid_in, starts_into
from tests.net import until


def shell(script: str, parameters: bytes = b"") -> Program:
    return Program(argv=("/bin/sh", "-c", script), environment={"PATH": os.defpath}, parameters=parameters)


async def test_a_program_gets_its_parameters_and_its_streams_are_kept_apart(keeper: Keeper) -> None:
    finished = await keeper.run(shell("cat; echo complaint >&2; exit 7", b"a=1\nb=2\n"), timeout_seconds=10)
    assert (finished.ending, finished.status, finished.is_clean) == (Ending.EXITED, 7, True)
    assert finished.stdout.text == "a=1\nb=2\n"
    assert finished.stderr.text == "complaint\n"


async def test_a_program_inherits_nothing_but_its_three_pipes(keeper: Keeper) -> None:
    script = "ls /proc/self/fd | wc -l; pwd; env; ulimit -c; ulimit -n; cut -d' ' -f5,6 /proc/$$/stat; echo $$"
    lines = (await keeper.run(shell(script), timeout_seconds=10)).stdout.text.splitlines()
    own = str(lines[-1])
    assert lines[0] == "4"  # three pipes, and the directory that ls reads
    assert "/" in lines
    assert [line for line in lines if "=" in line and not line.startswith(("PATH=", "PWD=", "FENCED_CALL="))] == []
    assert lines[-4:-1] == ["0", "1024", f"{own} {own}"]  # no core, few files, own group and session


async def test_a_held_program_waits_until_its_start_is_durable(keeper: Keeper, tmp_path: Path) -> None:
    said = tmp_path / "said"
    seen: list[Started] = []

    async def on_started(started: Started) -> None:
        seen.append(started)
        assert is_alive(started.pid)
        assert started_of(started.pid) == started.pid_started
        assert not said.exists() or not said.read_text()

    finished = await keeper.run(shell(f"cat > {said}", b"go\n"), timeout_seconds=10, on_started=on_started)
    assert finished.status == 0
    assert finished.was_fed
    assert said.read_text() == "go\n"
    assert len(seen) == 1


async def test_a_held_program_gets_no_parameters_after_its_deadline(keeper: Keeper, tmp_path: Path) -> None:
    """The daemon or the machine was stopped after the program's start was recorded."""
    said = tmp_path / "said"
    connection = Connection(marker="late")
    try:
        for until_seconds, text in ((60.0, "go\n"), (0.0, "")):
            call = connection.spawn(shell(f"cat > {said}"), limit_seconds=60, is_held=True)
            await call.started.wait()
            connection.feed(call, b"go\n", until=boottime() + until_seconds)
            async with asyncio.timeout(20):
                await call.ended.wait()
            assert call.is_over_deadline is not bool(text) and call.is_clean
            assert said.read_text() == text
            said.write_text("")
    finally:
        await connection.close()


async def test_a_suspend_counts_against_the_deadline(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    monkeypatch.setattr(client, "boottime", lambda: boottime() - 40.0)  # as if the call had begun before a suspend

    async def on_started(started: Started) -> None:
        assert is_alive(started.pid)

    finished = await keeper.run(shell(f"cat > {said}", b"go\n"), timeout_seconds=30, on_started=on_started)
    assert finished.ending is Ending.TIMED_OUT
    assert not said.exists() or not said.read_text()


async def test_a_program_whose_start_was_not_journalled_dies_without_ever_seeing_an_end_of_file(
    keeper: Keeper, tmp_path: Path
) -> None:
    acted = tmp_path / "acted"
    seen: list[Started] = []

    async def on_started(started: Started) -> None:
        seen.append(started)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        await keeper.run(shell(f"cat; touch {acted}"), timeout_seconds=10, on_started=on_started)
    assert not is_alive(seen[0].pid)
    assert not acted.exists()


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 300",
        "trap '' TERM INT HUP; sleep 300 & echo $! > PID; while :; do sleep 300; done",
        "sleep 300 & echo $! > PID; wait",
        "setsid sh -c 'echo $$ > PID; exec sleep 300' & sleep 300",
        "(setsid env -i /bin/sh -c 'echo $$ > PID; exec sleep 300' &) ; sleep 300",
        "kill -STOP $$",
    ],
    ids=["hangs", "ignores-sigterm", "child", "setsid", "double-fork-and-empty-environment", "stopped"],
)
async def test_at_the_deadline_everything_is_dead(keeper: Keeper, tmp_path: Path, script: str) -> None:
    written = tmp_path / "pid"
    program = shell(script.replace("PID", shlex.quote(str(written))))
    finished = await keeper.run(program, timeout_seconds=0.4)
    assert (finished.ending, finished.is_clean) == (Ending.TIMED_OUT, True)
    left = pid_in(written)
    assert left is None or not is_alive(left)


async def test_what_a_program_leaves_behind_dies_with_it_even_when_it_holds_the_pipes(
    keeper: Keeper, tmp_path: Path
) -> None:
    written = tmp_path / "pid"
    script = f"(setsid env -i /bin/sh -c 'echo $$ > {written}; exec sleep 300' &)"
    script += f"; until [ -s {written} ]; do :; done; echo done; exit 3"
    finished = await asyncio.wait_for(keeper.run(shell(script), timeout_seconds=20), 10)
    assert (finished.status, finished.is_clean, finished.stdout.text) == (3, True, "done\n")
    left = pid_in(written)
    assert left is not None
    assert not is_alive(left)


async def test_the_left_overs_of_one_call_are_not_taken_for_those_of_another(keeper: Keeper, tmp_path: Path) -> None:
    """A daemonised helper without an environment still belongs to its call, and lives no longer than that."""
    written, done = tmp_path / "pid", tmp_path / "done"
    script = f"(setsid env -i /bin/sh -c 'echo $$ > {written}; exec sleep 300' &)"
    script += f"; until [ -e {done} ]; do sleep 0.05; done; kill -0 $(cat {written}) && echo helped"
    async with asyncio.TaskGroup() as tasks:
        long = tasks.create_task(keeper.run(shell(script), timeout_seconds=20), name="long")
        await until(lambda: pid_in(written) is not None)
        for _ in range(3):
            await keeper.run(shell("sleep 300 & exit 0"), timeout_seconds=10)
        done.touch()
    assert long.result().stdout.text == "helped\n"
    left = pid_in(written)
    assert left is not None
    assert not is_alive(left)


async def test_cancellation_kills_and_waits_until_all_are_dead(keeper: Keeper, tmp_path: Path) -> None:
    written = tmp_path / "pid"
    script = f"(setsid sh -c 'echo $$ > {written}; exec sleep 300' &); sleep 300"
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keeper.run(shell(script), timeout_seconds=60), name="cancelled")
        await until(lambda: pid_in(written) is not None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        left = pid_in(written)
        assert left is not None
        assert not is_alive(left)


async def test_output_beyond_the_bound_is_thrown_away_and_its_end_is_kept(keeper: Keeper) -> None:
    script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the last line; exit 4"
    finished = await keeper.run(shell(script), timeout_seconds=20)
    assert finished.status == 4
    assert finished.stdout.is_cut
    assert len(finished.stdout.head) == 64 * 1024
    assert finished.stdout.tail.endswith(b"\nthe last line\n")


async def test_an_endless_flood_ends_at_the_deadline_and_costs_little(keeper: Keeper) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    finished = await keeper.run(shell("exec cat /dev/zero"), timeout_seconds=1.0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert finished.ending is Ending.TIMED_OUT
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


async def test_a_program_that_closes_its_standard_input_early_is_no_error(keeper: Keeper) -> None:
    seen: list[Started] = []
    program = shell("exec <&-; sleep 0.1; echo fine", b"x" * 30_000 + b"\n")
    finished = await keeper.run(program, timeout_seconds=10, on_started=starts_into(seen))
    assert (finished.status, finished.stdout.text) == (0, "fine\n")


@pytest.mark.parametrize(("mode", "content", "why"), [
    (0o755, "#!/no/such/interpreter\n", "No such file"),
    (0o755, "neither a script nor a program", "Exec format"),
    (0o644, "#!/bin/sh\n", "Permission denied"),
])  # fmt: skip
async def test_a_program_that_can_t_be_started_says_why(
    keeper: Keeper, tmp_path: Path, mode: int, content: str, why: str
) -> None:
    path = tmp_path / "program"
    path.write_text(content)
    path.chmod(mode)
    finished = await keeper.run(Program(argv=(str(path),), environment={}, parameters=b""), timeout_seconds=10)
    assert finished.ending is Ending.NOT_STARTED
    assert why in finished.why


async def test_two_hundred_at_once_all_end_and_leave_no_descriptor(keeper: Keeper) -> None:
    await keeper.run(shell("exit 0"), timeout_seconds=10)
    before = descriptors()
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(
                keeper.run(
                    shell("cat; exit 5", b"%d\n" % number),
                    timeout_seconds=30,
                    on_started=starts_into(seen) if number % 2 else None,
                ),
                name=f"call {number}",
            )
            for number in range(200)
        ]
    assert [task.result().stdout.text for task in running] == [f"{number}\n" for number in range(200)]
    assert {task.result().status for task in running} == {5}
    assert len({started.pid for started in seen}) == 100
    assert descriptors() == before


async def test_when_the_keeper_is_killed_its_agents_die_and_the_end_is_not_claimed(
    keeper: Keeper, tmp_path: Path
) -> None:
    written = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {written}; exec sleep 300' & sleep 300"
    seen: list[Started] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            keeper.run(shell(script), timeout_seconds=60, on_started=starts_into(seen)), name="bereaved"
        )
        await until(lambda: pid_in(written) is not None)
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        finished: Finished = await running
    assert (finished.ending, finished.is_clean) == (Ending.LOST, False)
    child = pid_in(written)
    assert child is not None
    await until(lambda: not is_alive(seen[0].pid) and not is_alive(child), what="agent and grandchild died")
    again = await keeper.run(shell("echo again"), timeout_seconds=10)
    assert again.stdout.text == "again\n"


async def test_a_keeper_that_does_not_answer_is_replaced(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenced.drivers.keeper.client.KILL_SECONDS", 0.3)
    seen: list[Started] = []

    async def on_started(started: Started) -> None:
        seen.append(started)
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGSTOP)

    # Longer than a busy machine needs to get to `on_started`: the keeper must not end the call before it is stopped.
    finished = await keeper.run(shell("cat; sleep 300"), timeout_seconds=2.0, on_started=on_started)
    assert (finished.ending, finished.is_clean) == (Ending.LOST, False)
    await until(lambda: not is_alive(seen[0].pid), what="the agent died with its keeper")
    assert (await keeper.run(shell("echo again"), timeout_seconds=10)).stdout.text == "again\n"


async def test_an_agent_that_stood_still_past_its_time_never_goes_on(keeper: Keeper, tmp_path: Path) -> None:
    """It was frozen together with its keeper and its daemon. When all thaw, it may be the first to run (S21)."""
    written, go, acted = tmp_path / "pid", tmp_path / "go", tmp_path / "acted"
    script = f"echo $$ > {written}; while [ ! -e {go} ]; do :; done; echo done > {acted}"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run(shell(script), timeout_seconds=1.0), name="frozen")
        await until(lambda: pid_in(written) is not None)
        agent = pid_in(written)
        assert agent is not None and keeper.pid is not None
        os.kill(keeper.pid, signal.SIGSTOP)
        os.kill(agent, signal.SIGSTOP)
        go.touch()
        try:
            await until(lambda: signal.SIGALRM in pending(agent), what="the kernel has ended its time")
            os.kill(agent, signal.SIGCONT)
            await until(lambda: not is_alive(agent))
        finally:
            os.kill(keeper.pid, signal.SIGCONT)
    assert not acted.exists()


def pending(pid: int) -> set[int]:
    """Return the signals that wait for a process."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    mask = int(lines["ShdPnd"], 16) | int(lines["SigPnd"], 16)
    return {number for number in range(1, 64) if mask >> (number - 1) & 1}


async def test_signals_meant_for_the_daemon_s_group_do_not_end_the_keeper(keeper: Keeper) -> None:
    await keeper.run(shell("exit 0"), timeout_seconds=10)
    assert keeper.pid is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(keeper.pid, number)
    assert (await keeper.run(shell("trap - INT; echo here"), timeout_seconds=10)).stdout.text == "here\n"


async def test_a_closed_keeper_starts_nothing(marker: str) -> None:
    before = descriptors()
    async with Keeper(marker=marker) as keeper:
        pid = keeper.pid
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(keeper.run(shell("sleep 300"), timeout_seconds=60), name="closed under")
            await asyncio.sleep(0)
            await keeper.close()
            assert (await running).ending is Ending.LOST
        assert (await keeper.run(shell("exit 0"), timeout_seconds=10)).ending is Ending.NOT_STARTED
    assert pid is not None
    assert not is_alive(pid)
    assert descriptors() == before
