"""The services' users, owners and modes of what setup makes, and whether a file still has them.

A member of the group `fenced` is an operator on the daemon's socket. So a secret of the daemon belongs to its user and
is closed to its group. Repairs open a file without following a link, because setup runs as root.
"""

import contextlib
import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.setup import broker, daemon
from fenced.setup.fleet import NotSetUp

SERVICE: Final = "fenced"
"""User and group of the daemon."""
LISTED_MAX: Final = 8
SYSUSERS: Final = "/usr/bin/systemd-sysusers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """`is_secret`: nobody else may read it. Others may always read what is no secret, if a person allows that."""

    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    is_secret: bool = False

    def command(self, path: Path) -> str:
        """Return what a person runs to give a file these rights."""
        return f"chown {self.owner}:{self.group} {path} && chmod {self.mode:o} {path}"

    def are_those_of(self, found: os.stat_result, *, has_owners: bool) -> bool:
        """Return whether a file is closed as it should be, and the service can read it. Raises NotSetUp.

        root may own every file: a person who closes a secret further passes it on as a credential.
        """
        if found.st_mode & (0o077 & ~self.mode if self.is_secret else 0o022):
            return False
        if not has_owners:
            return True
        is_group_wrong = found.st_gid != group_id(self.group) and self.mode & 0o044 == 0o040
        return found.st_uid in {0, user_id(self.owner)} and not (is_group_wrong and not found.st_mode & 0o004)


PUBLIC: Final = Rights()
DAEMONS: Final = Rights(group=SERVICE, mode=0o640)
"""No secret, and of no interest to other users: inventory, manifest."""
DAEMONS_SECRET: Final = Rights(owner=SERVICE, mode=0o400, is_secret=True)
BROKERS_SECRET: Final = Rights(group=broker.GROUP, mode=0o640, is_secret=True)
"""Mosquitto's group has no members but its user."""
ROOTS_SECRET: Final = Rights(mode=0o600, is_secret=True)
FOLDERS: Final = {
    daemon.AUTHORITY: Rights(mode=0o700, is_secret=True),
    daemon.BUNDLES: Rights(mode=0o700, is_secret=True),
    daemon.SECRETS: Rights(group=SERVICE, mode=0o750, is_secret=True),
}


def given(real: Path, rights: Rights, *, has_owners: bool) -> None:
    """Give a present file or folder these rights. Raises OSError, NotSetUp."""
    handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if has_owners:
            os.fchown(handle, user_id(rights.owner), group_id(rights.group))
        os.fchmod(handle, rights.mode)
    finally:
        os.close(handle)


def shown(found: os.stat_result) -> str:
    """Return owner, group and mode, as `root:fenced 640`."""
    owner, group = str(found.st_uid), str(found.st_gid)
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(found.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(found.st_gid).gr_name
    return f"{owner}:{group} {stat.S_IMODE(found.st_mode):o}"


def exposed(real: Iterable[Path], *, has_owners: bool) -> list[Path]:
    """Return the files that others than root and the daemon's user can read, or that belong to another user.

    The group root has no members who are operators only.
    """

    def is_exposed(path: Path) -> bool:
        try:
            found = path.stat()
            is_right = DAEMONS_SECRET.are_those_of(found, has_owners=has_owners)
        except (OSError, NotSetUp):  # without a user fenced, this is a dry run
            return False
        is_roots = has_owners and found.st_uid == found.st_gid == 0 and not found.st_mode & 0o007
        return stat.S_ISREG(found.st_mode) and not is_right and not is_roots

    return sorted({path for path in real if is_exposed(path)})


def advice(paths: list[Path]) -> str:
    """Return what to do about secrets that others than the daemon's user can read; "" if there are none."""
    if not paths:
        return ""
    listed = " ".join(map(str, paths[:LISTED_MAX]))
    left = len(paths) - LISTED_MAX
    more = f"; then run fenced setup again for {left} more" if left > 0 else ""
    return (
        f"others than the user {SERVICE} own or can read these secrets (members of its group are operators): run "
        f"chown {SERVICE}:root {listed} && chmod 400 {listed}{more}"
    )


def group_id(name: str) -> int:
    """Return a group's number. Raises NotSetUp."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as exc:
        raise NotSetUp(
            f"this machine has no group {name!r}: install the package that brings it, then run setup again"
        ) from exc


def user_id(name: str) -> int:
    """Return a user's number. Raises NotSetUp."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as exc:
        raise NotSetUp(
            f"this machine has no user {name!r}: install the package that brings it, then run setup again"
        ) from exc


def make_users(listed: Path) -> bool:
    """Make the services' users, as a package would; return False if they exist. `listed`: for systemd-sysusers.

    Raises NotSetUp.
    """
    with contextlib.suppress(KeyError):
        pwd.getpwnam(SERVICE)
        return False
    try:
        done = subprocess.run([SYSUSERS, str(listed)], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotSetUp(f"{SYSUSERS} can't be run ({exc}); make the user and group fenced by hand") from exc
    if done.returncode != 0:
        raise NotSetUp(f"systemd-sysusers failed: {done.stderr.strip()}")
    return True
