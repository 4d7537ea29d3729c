"""fencectl at the unix socket: found by itself, and what it says to whom the socket is closed."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from fenced.cli.fencectl.place import URL_DEFAULT, default_url, is_denied
from fenced.net.unix_socket import listening_at
from tests.api.conftest import TOKENS, start
from tests.api.ctl import ctl
from tests.api.test_socket import OWNER, folder
from tests.needs import needs_root

__all__ = ["folder"]

AS_ANOTHER = """
import encodings.idna, os, sys
from fenced.cli.fencectl import main, place, session
place.SOCKET_DEFAULT = session.SOCKET_DEFAULT = sys.argv[1]
place.default_url.__defaults__ = place.is_denied.__defaults__ = place.why_denied.__defaults__ = (sys.argv[1],)
place.URL_DEFAULT = sys.argv[2]
os.setgroups([]); os.setresgid(64990, 64990, 64990); os.setresuid(64990, 64990, 64990)
main(sys.argv[3:])
"""


async def test_it_speaks_over_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async for api in start(socket=path, has_tcp_writes=False):
        url = f"unix:{path}"
        assert "node-1" in (await ctl(url, "hosts")).out
        assert (await ctl(url, "off", "node-2", "--reason", "rack work")).code == 0
        by = str(api.control.calls[0][3])
        assert f"(uid {os.getuid()})" in by
        assert "claiming" not in by
        over_tcp = await ctl(api.url, "off", "node-2", "--reason", "rack work")
        assert over_tcp.code == 3
        assert "tcp_writes" in over_tcp.err
    gone = await ctl(url, "hosts")
    assert (gone.code, "is the daemon running?" in gone.err) == (4, True)
    assert (await ctl("unix:relative", "hosts")).code == 2


async def test_a_line_of_the_tokens_file_is_a_token_too(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async for api in start(tokens=TOKENS):
        for line in ("work-2", "operator:work-2", "operator@alice:work-2\n", "operator@alice,until=2027-01-31:work-2"):
            file.write_text(line)
            assert (await ctl(api.url, "--token-file", str(file), "hosts")).code == 0, line


def test_the_socket_is_taken_where_a_daemon_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert default_url(str(path)) == URL_DEFAULT
    with listening_at(path, group=os.getegid(), backlog=1):
        assert default_url(str(path)) == f"unix:{path}"
        assert not is_denied(str(path))
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert default_url(str(path)) == URL_DEFAULT


@needs_root()
async def test_whom_the_group_does_not_let_in_may_look_and_is_told_how_to_act(folder: Path) -> None:
    path = folder / "api.sock"

    async def run(*words: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", AS_ANOTHER, str(path), api.url, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async for api in start(socket=path, owner=OWNER, has_tcp_writes=False):
        code, out, err = await run("hosts")
        assert (code, "node-1" in out) == (0, True), err
        code, _, err = await run("off", "node-2", "--reason", "x")
        assert code == 3
        assert f"{path}: permission denied" in err
        code, _, err = await run("--url", f"unix:{path}", "hosts")
        assert (code, "permission denied" in err) == (4, True)
        assert api.control.calls == []


@pytest.mark.parametrize("word", ["unix:", "unix://host/path", "ftp://x"])
async def test_what_is_no_address_is_wrong_usage(word: str) -> None:
    assert (await ctl(word, "hosts")).code in (2, 4)
