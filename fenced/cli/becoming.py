"""Give up root for another user, for good: what follows in this process can do only what that user can."""

import os
import pwd

import click


def become(name: str) -> None:
    """Take this user's ids and groups. Raises click.UsageError if there is no such user, or without root."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as exc:
        raise click.UsageError(f"--user: there is no user {name} on this machine") from exc
    if os.geteuid() == found.pw_uid:
        return
    if os.geteuid() != 0:
        raise click.UsageError(f"--user {name} needs root: run it with sudo, or as {name} without --user")
    os.initgroups(name, found.pw_gid)
    os.setresgid(found.pw_gid, found.pw_gid, found.pw_gid)
    os.setresuid(found.pw_uid, found.pw_uid, found.pw_uid)
