"""After kill -9 of the daemon no agent, grandchild or half-started program goes on (S16)."""

import os
import shlex
import signal
import subprocess
from pathlib import Path

from fenced.drivers.processes import kill_survivors, started_of
from tests.drivers.keeper.owners import Owner
from tests.drivers.programs import is_alive, pid_in
from tests.net import until


async def test_when_the_daemon_is_killed_everything_dies_at_once(
    tmp_path: Path, marker: str, owners: list[Owner]
) -> None:
    names = ["agent", "child", "forgotten"]
    agent, child, forgotten = (shlex.quote(str(tmp_path / name)) for name in names)
    script = f"echo $$ > {agent}; trap '' TERM HUP"
    script += f"; (setsid env -i /bin/sh -c 'echo $$ > {forgotten}; exec sleep 300' &)"
    script += f"; sh -c 'echo $$ > {child}; sleep 300'; sleep 300"
    owner = Owner(marker, script)
    owners.append(owner)
    await until(lambda: all(pid_in(tmp_path / name) for name in names))
    pids = [pid for name in names if (pid := pid_in(tmp_path / name))]
    owner.kill()
    await until(lambda: not any(is_alive(pid) for pid in [*pids, owner.keeper_pid]), what="all are dead", seconds=10)


async def test_an_agent_that_waits_for_its_parameters_never_acts_when_the_daemon_is_killed(
    tmp_path: Path, marker: str, owners: list[Owner]
) -> None:
    """Without parameters an agent would act by its defaults, and the default action is `reboot`."""
    acted = tmp_path / "acted"
    for _ in range(5):
        owner = Owner(marker, f"cat; touch {acted}", "held")
        owners.append(owner)
        pid = int(owner.line().split()[0])
        owner.kill()
        await until(lambda pid=pid: not is_alive(pid), what="the agent died")
    assert not acted.exists()


async def test_survivors_of_a_life_whose_keeper_died_too_are_found_by_marker_and_by_identity(
    tmp_path: Path, marker: str, owners: list[Owner]
) -> None:
    marked, unmarked, foreign = tmp_path / "marked", tmp_path / "unmarked", tmp_path / "foreign"
    script = f"setsid sh -c 'echo $$ > {marked}; exec sleep 300' & "
    script += f"setsid env -i /bin/sh -c 'echo $$ > {unmarked}; exec sleep 300' & sleep 300"
    owner = Owner(marker, script)
    owners.append(owner)
    bystander = subprocess.Popen(
        ["/bin/sh", "-c", f"echo $$ > {foreign}; exec sleep 300"], env={"FENCED_CALL": f"{marker}-other/1/1"}
    )
    try:
        await until(lambda: all(pid_in(path) for path in (marked, unmarked, foreign)))
        os.kill(owner.keeper_pid, signal.SIGSTOP)  # else it would kill them all before it dies
        owner.kill()
        os.kill(owner.keeper_pid, signal.SIGKILL)
        await until(lambda: not is_alive(owner.keeper_pid))
        pid = pid_in(unmarked)
        assert pid is not None
        started = started_of(pid)
        assert started is not None
        another = (bystander.pid, "1@00000000")
        killed = await kill_survivors(markers=(marker,), processes=[(pid, started), another])
        assert {pid, pid_in(marked)} <= {survivor.pid for survivor in killed}
        assert all(survivor.is_gone for survivor in killed)
        assert not is_alive(pid)
        assert is_alive(bystander.pid)
        assert await kill_survivors(markers=(marker,), processes=[(pid, started), another]) == ()
    finally:
        bystander.kill()
        bystander.wait()
