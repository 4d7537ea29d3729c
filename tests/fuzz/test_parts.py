"""The smaller borders: the keeper's messages, messages to systemd, files of certificates."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.drivers.keeper.connection import Connection, Program
from fenced.host.notify import Notify
from fenced.proxy.certificates import ends, make_authority, make_daemon, renew, show
from fenced.proxy.tls import CertificateError, TlsFiles, client_context, server_context
from tests.bus.parts import heard
from tests.fuzz.given import fuzz, mutated

WORDS: Final = st.sampled_from(
    [b"started", b"failed", b"ended", b"", b"1", b"0", b"2", b"-9", b"x", b"9" * 5000, b"\xff"]
)
MESSAGES: Final = st.lists(WORDS | st.binary(max_size=5), max_size=6).map(b"\0".join).filter(bool)


@fuzz(60)
@given(MESSAGES)
@example(b"ended\x001\x00x\x001\x000")
@example(b"ended\x001")
@example(b"started\x001\x001\x00\xff")
@example(b"x")
def test_a_keeper_that_talks_rubbish_is_given_up(message: bytes) -> None:
    """The call ends either way, no exception reaches the loop, and nothing stays open."""
    asyncio.run(_hear(message))


async def _hear(message: bytes) -> None:
    theirs: list[socket.socket] = []

    def start(channel: socket.socket) -> "subprocess.Popen[bytes]":
        theirs.append(channel.dup())
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)

    with heard() as complaints:
        connection = Connection(marker="fuzz", start=start)
        program = Program(argv=("/bin/true",), environment={}, parameters=b"")
        call = connection.spawn(program, limit_seconds=5.0, is_held=False)
        _, descriptors, _, _ = socket.recv_fds(theirs[0], 65536, 2)
        for descriptor in descriptors:
            os.close(descriptor)
        theirs[0].send(message)
        theirs[0].close()
        async with asyncio.timeout(5):
            await call.ended.wait()
        assert call.is_lost or call.status is not None or call.error_number
        await connection.abandon()
        await asyncio.sleep(0)
        if connection._process.stdin is not None:
            connection._process.stdin.close()
    assert complaints == []


@fuzz(150)
@given(
    address=st.text(st.characters(exclude_characters="\0"), max_size=120) | st.sampled_from(["@x", "@", "/nowhere"]),
    seconds=st.text(max_size=6) | st.sampled_from(["\u00b2", "9" * 5000, "-1", "0", "1e3", "\u0663"]),
    status=st.text(max_size=300) | st.sampled_from(["a\nREADY=1", "\ud800", "\x85X"]),
)
@example("@x", "\u00b2", "")
@example("@x", "9" * 5000, "")
@example("@x", "", "\ud800")
def test_a_notification_to_systemd_never_raises(address: str, seconds: str, status: str) -> None:
    notify = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": seconds})
    assert notify.watchdog_seconds is None or 0 < notify.watchdog_seconds < 1e15
    notify.ready(status)
    notify.status(status)
    notify.stopping(status)
    notify.watchdog()


def test_a_status_is_one_line(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(os.fspath(tmp_path / "notify"))
    with listener:
        notify = Notify({"NOTIFY_SOCKET": os.fspath(tmp_path / "notify")})
        for status in ("a\nREADY=1", "a\x85READY=1", "a\u2028READY=1", "\ud800"):
            notify.status(status)
            lines = listener.recv(4096).split(b"\n")
            assert len(lines) == 1
            assert lines[0].startswith(b"STATUS=")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A directory with an authority and a daemon, and the contents of its files."""
    directory = tmp_path_factory.mktemp("certificates")
    make_authority(directory)
    make_daemon(directory, name="fenced-a")
    return directory, {path.name: path.read_bytes() for path in directory.iterdir()}


@fuzz(60)
@given(data=st.data())
def test_any_file_of_certificates_is_used_or_refused(
    certificates: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    directory, good = certificates
    name = data.draw(st.sampled_from(sorted(good)))
    content = data.draw(mutated(list(good.values())) | st.binary(max_size=60) | st.sampled_from(sorted(good.values())))
    for each, text in good.items():
        (directory / each).write_bytes(text)
    (directory / name).write_bytes(content)
    files = TlsFiles(
        ca_file=directory / "ca.crt", cert_file=directory / "fenced-a.crt", key_file=directory / "fenced-a.key"
    )
    for use in (
        lambda: client_context(files),
        lambda: server_context(files),
        lambda: ends(files.cert_file),
        lambda: show(directory),
        lambda: renew(directory, name="fenced-a"),
    ):
        try:
            use()
        except CertificateError as exc:
            assert "PRIVATE KEY" not in str(exc)
            assert str(exc).isprintable()
