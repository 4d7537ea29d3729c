"""The whole lab as docs/lab.md runs it, with the real daemon, proxies and reporters: one complete story, one cut short,
and one that stays up to be looked at.
"""

import asyncio
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from tests.needs import find, needs
from tests.pages.registry import shell
from tests.warm import programs

HAS_NAMESPACES = os.geteuid() == 0 and all(find(program) for program in ("ip", "unshare", "nsenter", "setpriv"))
UNTIL_CTRL_C = 'mosquitto_sub() { command mosquitto_sub "$@" -W 1 || [ $? = 27 ]; }'
RUN = "from fenced.cli.main import main; main()"


def options_of(block: str) -> list[str]:
    """Return the options of `fenced lab` in a block."""
    fenced, lab, *options = shlex.split(block, comments=True)
    assert (fenced, lab) == ("fenced", "lab")
    return options


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "lab",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def told(process: asyncio.subprocess.Process) -> list[str]:
    output, _ = await process.communicate()
    return output.decode().splitlines()


async def test_a_host_is_found_out_fenced_announced_and_comes_back(tmp_path: Path) -> None:
    """Unplugged, the host runs on: its oracle proves that the power cut stopped it before it was announced as off."""
    how = ["--how", "unplug"] if HAS_NAMESPACES else []
    headless, _ = shell("lab", __name__)
    process = await started(*options_of(headless), "--kill", "node-1", *how, "--state-dir", str(tmp_path / "lab"))
    lines = await told(process)
    story = "\n".join(lines)
    assert process.returncode == 0, story
    parts = [
        r"all healthy after",
        r"node-1 +(its cable is pulled|its kernel panics)",
        r"node-1 +suspected",
        r"proxies raced: px-hole silent, given up after \d+ ms, px-1 won",
        r"switch OFF through px-1: done",
        r"reads OFF",
        r"announced FENCED on the bus: token \d+-\d+, device_verified, pdu-a OFF through px-1, pdu-b OFF through px-1",
        r"switch ON through px-1: done",
        r"healthy again",
        r"oracle: the old run's last sign of life came \d+\.\d+ s before the announcement, none after it",
    ]
    assert re.search(".*".join(parts), story, re.DOTALL), story
    last = r"demo: node-1 fenced in \d+\.\d s through 2 devices, healthy again after \d+\.\d s"
    assert re.fullmatch(last, lines[-1])


async def test_an_incomplete_story_says_what_is_missing() -> None:
    process = await started("--headless", "--no-namespaces", "--hosts", "2", "--proxies", "1", "--for", "1s")
    lines = await told(process)
    assert process.returncode == 1
    assert any(line.startswith("fenced lab: not seen in time: all hosts healthy") for line in lines), lines
    assert any(line.startswith("  daemon: ") for line in lines)


@needs("mosquitto_sub")
async def test_a_lab_that_stays_up_obeys_its_console_and_ends_by_a_signal() -> None:
    _, stays = shell("lab", __name__)
    process = await started(*options_of(stays))
    assert process.stdin is not None and process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(90):
        while not lines or not lines[-1].startswith("here: kill node-1"):
            lines.append((await process.stdout.readline()).decode())
        api, broker = (re.search(rf"{scheme}://127.0.0.1:(\d+)", "".join(lines)) for scheme in ("http", "mqtt"))
        assert api is not None and broker is not None, lines
        (block,) = shell("look at the lab", __name__, api=api[1], broker=broker[1])
        path = f"{sys.prefix}/bin:{os.environ['PATH']}"
        looked = await asyncio.create_subprocess_exec(
            "bash", "-euc", f"{UNTIL_CTRL_C}\n{block}", env=os.environ | {"PATH": path},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = "\n".join(await told(looked))
        assert looked.returncode == 0 and "node-1 was fenced" in said and "fenced/v1/lab/state/node-1" in said, said
        process.stdin.write(b"hosts\nfly node-1\n")
        answers = [(await process.stdout.readline()).decode() for _ in range(3)]
        assert [answer.split()[0] for answer in answers[:2]] == ["node-1", "node-2"]
        assert answers[2].startswith("not a command: 'fly node-1'")
        process.send_signal(signal.SIGTERM)
        assert "ended by a signal" in "\n".join(await told(process))
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hosts", "1"], "1 hosts: give 2"),
        (["--proxies", "9"], "9 proxies: give 1 to 8"),
        (["--for", "soon"], "'soon' is not a duration"),
        (["--headless", "--kill", "node-9"], "there is no host node-9"),
        (["--headless", "--saving", "--controllers", "2"], "the story of power saving has one controller"),
    ],
)
async def test_mistakes_are_reported(arguments: list[str], said: str) -> None:
    ended = await programs.run([sys.executable, "-c", RUN, "lab", *arguments], seconds=60)
    assert ended.status != 0
    assert said in " ".join(f"{ended.out}{ended.err}".split())
