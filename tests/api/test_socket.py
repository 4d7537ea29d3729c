"""The unix socket: who may open it, which role a user has there, and what the journal says of the user."""

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fenced.api.callers import Owner, Principal, Role
from fenced.net.peers import OVERFLOW_ID, Peer, peer_of
from fenced.net.unix_socket import SocketError, listening_at, path_of
from tests.api.conftest import TOKENS, Api, start
from tests.api.local import Asked, User, ask
from tests.api.test_border import ACT, STATUS
from tests.needs import needs_root

OWNER = Owner(uid=64997, group=64996)
STRANGER = User(uid=64990, gid=64990)
LOOK: Asked = ("GET", "/api/v1/hosts", None, {})
WORK: Asked = ("POST", ACT, STATUS, {})
SIGN: Asked = ("POST", "/api/v1/hosts/node-2/confirm-off", {"reason": "both cords are in my hand"}, {})


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="fenced-api-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def local(folder: Path) -> AsyncIterator[tuple[Api, Path]]:
    """A server whose socket everyone may open, as if the mode were lost: the roles must hold without it."""
    path = folder / "api.sock"
    async for api in start(socket=path, owner=OWNER, has_tcp_writes=False):
        path.chmod(0o666)
        yield api, path


@pytest.mark.parametrize(
    ("uid", "groups", "role"),
    [
        (0, {0}, Role.ADMIN),
        (OWNER.uid, {5}, Role.ADMIN),
        (1000, {1000, OWNER.group}, Role.OPERATOR),
        (1000, {1000, 0}, None),
        (OVERFLOW_ID, {OWNER.group}, None),
        (OWNER.group, {1000}, None),
    ],
)
def test_the_role_of_a_user(uid: int, groups: set[int], role: Role | None) -> None:
    assert OWNER.role_of(Peer(uid=uid, groups=frozenset(groups))) is role


def test_users_that_are_not_mapped_own_no_daemon() -> None:
    """In a user namespace every foreign user and group looks like nobody, as which a daemon may run by mistake."""
    nobody = Owner(uid=OVERFLOW_ID, group=OVERFLOW_ID)
    assert nobody.role_of(Peer(uid=OVERFLOW_ID, groups=frozenset({OVERFLOW_ID}))) is None
    assert nobody.role_of(Peer(uid=1000, groups=frozenset({OVERFLOW_ID}))) is None


@needs_root()
@pytest.mark.parametrize(
    ("user", "statuses", "rule"),
    [
        (User(), [200, 202, 202], None),
        (User(uid=OWNER.uid, gid=OWNER.group), [200, 202, 202], None),
        (User(uid=64991, gid=OWNER.group), [200, 202, 403], "role"),
        (User(uid=64992, gid=64992, groups=(64993, OWNER.group)), [200, 202, 403], "role"),
        (STRANGER, [403, 403, 403], "group"),
    ],
)
async def test_what_each_user_may_do(
    local: tuple[Api, Path], user: User, statuses: list[int], rule: str | None
) -> None:
    api, path = local
    answers = await ask(path, user, [LOOK, WORK, SIGN])
    assert [answer.status for answer in answers] == statuses
    assert answers[-1].body.get("rule") == rule
    uid = 0 if user.uid is None else user.uid
    proven = "root (uid 0)" if uid == 0 else f"uid {uid}"
    assert [call[3] for call in api.control.calls if call[0] == "act"] == [proven] * (202 in statuses)
    if user is STRANGER:
        assert str(OWNER.group) in answers[0].body["detail"]


@needs_root()
async def test_only_the_owner_and_the_group_can_open_it(folder: Path) -> None:
    path = folder / "api.sock"
    async for _ in start(socket=path, owner=OWNER):
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert found.st_gid == OWNER.group
        assert [answer.status for answer in await ask(path, STRANGER, [LOOK])] == [0]
        member = User(uid=64991, gid=64991, groups=(OWNER.group,))
        assert [answer.status for answer in await ask(path, member, [LOOK])] == [200]
    assert not path.exists()


async def test_the_journal_shows_the_proven_user_beside_the_claimed_one(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async for api in start(socket=path):
        await ask(path, User(), [("POST", ACT, STATUS, {"X-Fenced-By": "mallory (uid 7)"}), WORK])
        shown = [str(call[3]) for call in api.control.calls]
    assert all(f"uid {os.getuid()}" in by for by in shown)
    assert shown[0] == f"{shown[1]} claiming mallory [uid 7]"


@pytest.mark.parametrize(
    ("principal", "by"),
    [
        (Principal(role=Role.ADMIN, claimed_name="root (uid 0)"), "root [uid 0]"),
        (Principal(role=Role.ADMIN, claimed_name="root \uff08uid 0\uff09"), "root [uid 0]"),
        (Principal(role=Role.ADMIN), "api"),
        (Principal(role=Role.OPERATOR, digest=b"x", claimed_name="alice"), "alice (operator)"),
        (Principal(role=Role.OPERATOR, digest=b"x", person="alice"), "alice (token, operator)"),
        (
            Principal(role=Role.OPERATOR, digest=b"x", person="alice", claimed_name="bob"),
            "alice (token, operator) claiming bob",
        ),
        (
            Principal(role=Role.OPERATOR, peer=Peer(uid=7, groups=frozenset()), user="bob", claimed_name="bob"),
            "bob (uid 7)",
        ),
    ],
)
def test_only_what_is_proven_stands_in_parentheses(principal: Principal, by: str) -> None:
    assert principal.by("") == by


async def test_an_explicit_token_decides_on_the_socket_too(tmp_path: Path) -> None:
    """Who sends a viewer's token, also as root, gets a viewer's rights; a wrong one opens nothing."""
    path = tmp_path / "api.sock"
    async for api in start(socket=path, tokens=TOKENS):
        as_viewer, wrong = {"Authorization": "Bearer look-only-1"}, {"Authorization": "Bearer wrong"}
        requests: list[Asked] = [(*LOOK[:3], as_viewer), (*WORK[:3], as_viewer), (*LOOK[:3], wrong), WORK]
        answers = await ask(path, User(), requests)
        assert [answer.status for answer in answers] == [200, 403, 401, 202]
        assert len(api.control.calls) == 1


async def test_users_have_limits_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async for api in start(socket=path, per_second=3):
        answers = await ask(path, User(), [LOOK] * 4)
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        async with api.client.get("/api/v1/hosts") as response:
            assert response.status == 200


def test_a_socket_is_named_as_in_the_configuration(tmp_path: Path) -> None:
    with listening_at(tmp_path / "s", group=os.getegid(), backlog=1) as listening:
        assert path_of(listening) == str(tmp_path / "s")


def test_a_connection_is_judged_by_who_connected(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening_at(path, group=os.getegid(), backlog=1) as listening, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        accepted, _ = listening.accept()
        with accepted:
            peer = peer_of(accepted)
        assert peer is not None
        assert (peer.uid, peer.groups >= {os.getegid(), *os.getgroups()}) == (os.geteuid(), True)
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        assert peer_of(tcp) is None


def test_nobody_can_connect_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask: the file is private from its first moment, and has its path only when it is complete."""
    seen: list[tuple[int, list[str]]] = []
    real = os.chmod

    def chmod(path: Path, mode: int, *, follow_symlinks: bool = True) -> None:
        seen.append((stat.S_IMODE(Path(path).stat().st_mode), sorted(entry.name for entry in tmp_path.iterdir())))
        real(path, mode, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chmod", chmod)
    before = os.umask(0)
    try:
        with listening_at(tmp_path / "s", group=os.getegid(), backlog=1):
            assert [entry.name for entry in tmp_path.iterdir()] == ["s"]
    finally:
        os.umask(before)
    assert seen == [(0o600, ["s.new"])]


def test_a_socket_that_has_its_group_already_needs_no_chown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit's SystemCallFilter= answers each chown with EPERM."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", forbidden)
    with listening_at(tmp_path / "s", group=os.getegid(), backlog=1):
        assert (tmp_path / "s").is_socket()


def test_a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with listening_at(path, group=os.getegid(), backlog=1) as living:
        with pytest.raises(SocketError, match="another program listens"), listening_at(path, group=0, backlog=1):
            pass
        assert path.exists()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            living.accept()[0].close()
    assert not path.exists()


@needs_root()
def test_a_folder_of_another_user_holds_no_socket(tmp_path: Path) -> None:
    """That user could put another program's socket in its place, and answer for the daemon."""
    os.chown(tmp_path, 64990, -1)
    with pytest.raises(SocketError, match="another user"), listening_at(tmp_path / "s", group=0, backlog=1):
        pass


@needs_root()
def test_a_folder_that_another_group_may_write_to_holds_no_socket(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    with listening_at(tmp_path / "s", group=os.getegid(), backlog=1):
        pass
    os.chown(tmp_path, -1, 64990)
    with pytest.raises(SocketError, match="another user"), listening_at(tmp_path / "s", group=0, backlog=1):
        pass


def test_the_end_removes_no_other_daemons_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        with listening_at(path, group=os.getegid(), backlog=1):
            path.unlink()
            other.bind(str(path))
        assert path.exists()


@pytest.mark.parametrize("trouble", ["long", "folder", "file", "open folder"])
def test_what_can_be_no_socket_is_said(tmp_path: Path, trouble: str) -> None:
    paths = {"long": tmp_path / ("x" * 100), "folder": tmp_path / "no/s", "open folder": tmp_path / "open/s"}
    path = paths.get(trouble, tmp_path / "s")
    (tmp_path / "s").write_text("a person's file")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    said = {"long": "at most 103", "folder": "No such file", "file": "is no socket", "open folder": "chmod go-w"}
    with pytest.raises(SocketError, match=said[trouble]), listening_at(path, group=os.getegid(), backlog=1):
        pass
    assert (tmp_path / "s").read_text() == "a person's file"


async def test_clients_that_leave_at_once_end_nothing(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async for _ in start(socket=path):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
        with contextlib.closing((await asyncio.open_unix_connection(path))[1]) as writer:
            writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert [answer.status for answer in await ask(path, User(), [LOOK])] == [200]
