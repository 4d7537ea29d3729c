"""Completion of `fencectl` in real shells, with names from a real server."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Api
from tests.api.ctl import PROGRAM, environment, run_plain
from tests.needs import find, needs
from tests.net import free_port

NOBODY = "http://127.0.0.1:{port}"
HOSTS = {"node-1", "node-2", "node-3", "node-4"}

BASH = """
source ./script
COMP_WORDS=({words}) COMP_CWORD={at}
_fencectl_completion fencectl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit && compinit -u -D; source ./script; compdef _fencectl_completion fencectl'
zpty -w shell 'print ready$((1))'
zpty -r -m shell line '*ready1*'
zpty -n -w shell $'{text}\\t'
zpty -r -m shell line '*{until}*' && print -r -- found
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the program under its name, as it is installed."""
    program = tmp_path / "bin/fencectl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom fenced.cli.fencectl import main\nmain(prog_name='fencectl')\n")
    program.chmod(0o755)
    return tmp_path


async def completed(place: Path, url: str, shell: str, text: str) -> str:
    """Return what a shell prints for a program that completes."""
    script = await run_plain("completion", shell)
    assert script.code == 0
    (place / "script").write_text(script.out)
    path = find(shell)
    assert path is not None
    process = await asyncio.create_subprocess_exec(
        path, *(["-f"] if shell == "zsh" else ["--no-config"] if shell == "fish" else ["--norc"]), "-c", text,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        cwd=place, env=environment(FENCED_URL=url, HOME=str(place), PATH=f"{place}/bin:/usr/bin:/bin"),
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err
    return out.decode()


async def in_bash(place: Path, url: str, *words: str) -> set[str]:
    """Complete the last of the words in bash."""
    quoted = " ".join(f"'{word}'" for word in ("fencectl", *words))
    out = await completed(place, url, "bash", BASH.format(words=quoted, at=len(words)))
    return {word for word in out.splitlines() if word}


async def test_bash_completes_commands_hosts_operations_and_clusters(api: Api, place: Path) -> None:
    assert {"show", "status", "storms", "sleep", "saving"} == await in_bash(place, api.url, "s")
    assert await in_bash(place, api.url, "show", "no") == HOSTS
    assert await in_bash(place, api.url, "restart", "node-1", "--re") == {"--reason"}
    assert await in_bash(place, api.url, "operation", "") == {"1-7"}
    assert await in_bash(place, api.url, "hosts", "--cluster", "") == {"c1", "c2"}
    assert await in_bash(place, api.url, "hosts", "--state", "f") == {"failed", "fenced", "fencing"}


async def test_what_cannot_be_asked_is_not_completed_and_says_nothing(place: Path, tmp_path: Path) -> None:
    url = NOBODY.format(port=free_port())
    assert await in_bash(place, url, "show", "") == set()
    environ = {"_FENCECTL_COMPLETE": "bash_complete", "COMP_WORDS": "fencectl show ", "COMP_CWORD": "2"}
    for more in ({"FENCED_URL": "nonsense"}, {"FENCED_TOKEN_FILE": "/nonexistent"}, {"FENCED_PROFILE": "none"}):
        done = subprocess.run(
            PROGRAM, env=environment(FENCED_URL=url, HOME=str(tmp_path), **environ) | more,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", ""), more


@needs("fish")
async def test_fish_completes_hosts_with_their_states(api: Api, place: Path) -> None:
    text = "source ./script; complete --do-complete 'fencectl show node-'"
    lines = (await completed(place, api.url, "fish", text)).splitlines()
    assert {line.split("\t")[0] for line in lines} == HOSTS
    assert "node-1\thealthy" in lines


@needs("zsh")
async def test_zsh_completes_a_host(api: Api, place: Path) -> None:
    text = ZSH.format(text="fencectl show node-", until="node-1*node-4")
    assert "found" in await completed(place, api.url, "zsh", text)
