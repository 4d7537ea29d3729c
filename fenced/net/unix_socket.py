"""Listen on a unix socket that only its owner and its group can open.

It decides nothing about who connects. The socket never has a wider mode than its last one: the kernel makes the file
with mode 0600, and it gets its path only once group and mode are set. A dead program's socket is replaced, a living
one's never.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fenced.model.socket_paths import why_no_socket_path

MODE: Final = 0o660
_SUFFIX: Final = ".new"


class SocketError(Exception):
    """The socket can't be made. The text says why and what to do."""


@contextlib.contextmanager
def listening_at(path: Path, *, group: int, backlog: int) -> Iterator[socket.socket]:
    """Yield the listening socket; remove its file after the block. `group`: the group id that may open it.

    Raises SocketError.
    """
    _refuse_path(path)
    _refuse_living(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as made:
        inode = _bind(made, path, group=group, backlog=backlog)
        try:
            yield made
        finally:
            _remove(path, inode)


def path_of(listening: socket.socket) -> str:
    """Return the path of a socket of `listening_at`; the kernel goes on to report the name before the renaming."""
    return str(listening.getsockname()).removesuffix(_SUFFIX)


def _refuse_path(path: Path) -> None:
    why = why_no_socket_path(str(path))
    if why is not None:
        raise SocketError(f"{path} {why}")
    try:
        folder = path.parent.stat()
    except OSError as exc:
        raise SocketError(
            f"can't use the folder {path.parent}: {exc.strerror or exc}; make it for the daemon's user "
            "(systemd does with RuntimeDirectory=), or choose another path"
        ) from exc
    if _is_open(folder) or folder.st_uid not in (0, os.geteuid()):
        raise SocketError(
            f"another user may replace files in the folder {path.parent}, so also the socket: give it to the daemon's "
            "user and run chmod go-w, or choose another path"
        )


def _is_open(folder: os.stat_result) -> bool:
    """Return whether users other than root, the daemon's user and the members of its group may replace files."""
    if folder.st_mode & stat.S_ISVTX:
        return False
    is_foreign_group = folder.st_gid not in (0, os.getegid())
    return bool(folder.st_mode & stat.S_IWOTH or (folder.st_mode & stat.S_IWGRP and is_foreign_group))


def _refuse_living(path: Path) -> None:
    """Return if there is nothing, or the socket of a program that ended."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise SocketError(f"can't look at {path}: {exc.strerror or exc}; choose another path") from exc
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path} exists and is no socket: remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # it listens, and its queue is full
        except OSError as exc:
            raise SocketError(
                f"can't tell whether a program listens at {path}: {exc.strerror or exc}; remove it if none does"
            ) from exc
    raise SocketError(f"another program listens at {path}: end it, or choose another path")


def _bind(made: socket.socket, path: Path, *, group: int, backlog: int) -> int:
    """Make the socket under a private name, set who may open it, and give it its path. Return its inode."""
    beside = path.with_name(path.name + _SUFFIX)
    try:
        os.fchmod(made.fileno(), 0o600)  # Linux makes the file of a socket with the mode of its descriptor
        if beside.is_socket():
            beside.unlink()  # of a daemon that was killed while it made one
        made.bind(str(beside))
        if (
            beside.lstat().st_gid != group
        ):  # the unit's filter of system calls forbids even a chown that changes nothing
            os.chown(beside, -1, group, follow_symlinks=False)
        beside.chmod(MODE)
        made.listen(backlog)
        inode = beside.lstat().st_ino
        beside.rename(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SocketError(
            f"can't make {path}: {exc.strerror or exc}; let the daemon's user write to {path.parent}, or choose "
            "another path"
        ) from exc
    return inode


def _remove(path: Path, inode: int) -> None:
    """Remove the socket, unless another program's is at its path by now."""
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
