"""Write the files of an installation: those that are missing, and those that nobody has changed since.

A manifest remembers the digest of each file as it was written here. A file whose digest is another one belongs to a
person: it stays as it is, and the difference is shown.
"""

import contextlib
import difflib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

from fenced.setup import rights
from fenced.setup.fleet import NotSetUp
from fenced.setup.rights import PUBLIC, Rights

MANIFEST_VERSION: Final = 1
DIFF_LINES_MAX: Final = 60


class Rule(Enum):
    """What to do where the file exists already."""

    KEEP = "keep"
    """Its content is a person's from the start, or a secret: written once."""
    FOLLOW = "follow"
    """Its content follows from the fleet: written again while nobody has edited it."""
    REPLACE = "replace"
    """This run made new content for it (a renewed certificate, a merged list of accounts)."""


class Done(Enum):
    """What happened to a file."""

    MADE = "made"
    CHANGED = "changed"
    SAME = "same"
    KEPT = "kept"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file of the installation. `path` is absolute, without the root; `is_hidden`: never shown in a difference.

    `is_synced` False: a crash of the machine may lose it, because another run makes it again.
    """

    path: Path
    content: bytes
    rights: Rights = PUBLIC
    rule: Rule = Rule.FOLLOW
    is_hidden: bool = False
    is_synced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to one file, and how it differs from what setup would write. `note`: what of its rights."""

    path: Path
    done: Done
    difference: str = ""
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What setup has written: digests by path, and until when and for what each certificate of a bundle is valid.

    `named`: the names that stand in no configuration: broker, sources, readers. They hold in later runs, too.
    `waiting`: the ends of the certificates that machines still have while a newer archive waits to be copied.
    """

    digests: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Return the manifest of a file, an empty one if there is none. Raises NotSetUp."""
        try:
            raw: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except PermissionError as exc:
            raise NotSetUp(f"{path}: can't be read: {exc.strerror}; run setup as root") from exc
        except (OSError, ValueError) as exc:
            raise NotSetUp(f"{path}: can't be read ({exc}); restore it, or move it away to begin anew") from exc
        if not isinstance(raw, dict) or raw.get("version") != MANIFEST_VERSION:
            raise NotSetUp(f"{path}: was written by another version of fenced; use that version, or move it away")
        read = cls(
            digests=raw.get("files", {}),
            given=raw.get("given", {}),
            addresses=raw.get("addresses", {}),
            named=raw.get("named", {}),
            waiting=raw.get("waiting", {}),
        )
        if not read.is_whole:
            raise NotSetUp(f"{path}: holds what setup does not write; restore it, or move it away to begin anew")
        return read

    @property
    def is_whole(self) -> bool:
        """Whether a manifest from a file holds only values that setup could have written."""
        return (
            all(isinstance(part, dict) for part in (self.digests, self.given, self.waiting, self.addresses, self.named))
            and all(isinstance(digest, str) for digest in self.digests.values())
            and all(_is_moment(until) for until in (*self.given.values(), *self.waiting.values()))
            and all(
                isinstance(names, list) and all(isinstance(name, str) for name in names)
                for names in (*self.named.values(), *self.addresses.values())
            )
        )

    @property
    def text(self) -> bytes:
        body = {
            "version": MANIFEST_VERSION,
            "files": self.digests,
            "given": self.given,
            "addresses": self.addresses,
            "named": self.named,
            "waiting": self.waiting,
        }
        return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()


class Disk:
    """Writes below `root`. A dry run writes nothing and reports what it would have done.

    Below another root than / the files keep the owner of the process: the groups there may be others.
    """

    def __init__(self, root: Path, manifest: Manifest, *, is_dry: bool, has_owners: bool | None = None) -> None:
        self._root, self._manifest, self._is_dry = root, manifest, is_dry
        self.has_owners = root == Path("/") and os.geteuid() == 0 if has_owners is None else has_owners

    def real(self, path: Path) -> Path:
        """Return where a path of the installation is."""
        return self._root / path.relative_to("/")

    def read(self, path: Path) -> bytes | None:
        """Return a file's content; None if there is none. Raises NotSetUp."""
        try:
            return self.real(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise NotSetUp(f"{path}: can't be read: {_advised(exc)}") from exc

    def write(self, wanted: Wanted) -> Outcome:
        """Write a file as its rule says. Raises NotSetUp."""
        present = self.read(wanted.path)
        done = self._decided(wanted, present)
        note = ""
        if done not in {Done.MADE, Done.CHANGED}:
            note = self.check(wanted.path, wanted.rights, is_ours=done is Done.SAME)
        elif not self._is_dry:
            self._put(wanted)
        if done in {Done.MADE, Done.CHANGED, Done.SAME}:  # SAME: an interrupted run may not have recorded it
            self._manifest.digests[str(wanted.path)] = _digest(wanted.content)
        difference = _difference(wanted, present or b"") if done in {Done.DIFFERS, Done.CHANGED} else ""
        return Outcome(path=wanted.path, done=done, difference=difference, note=note)

    def check(self, path: Path, wanted: Rights, *, is_ours: bool | None = None) -> str:
        """Return what is wrong with the owner or mode of a present file or folder; repair those that setup made.

        `is_ours` None: where its content is what setup wrote. A link is a person's, and not followed. Raises NotSetUp.
        """
        try:
            return self._checked(path, wanted, is_ours=is_ours)
        except FileNotFoundError:
            return ""
        except OSError as exc:
            raise NotSetUp(f"{path}: its owner and mode can't be set: {_advised(exc)}") from exc
        except NotSetUp:
            if self._is_dry:  # the run that is not dry makes the users first
                return ""
            raise

    def _checked(self, path: Path, wanted: Rights, *, is_ours: bool | None) -> str:
        real = self.real(path)
        found = real.lstat()
        if stat.S_ISLNK(found.st_mode) or wanted.are_those_of(found, has_owners=self.has_owners):
            return ""
        if is_ours is None:
            is_ours = self._manifest.digests.get(str(path)) == _digest(real.read_bytes())
        before = rights.shown(found)
        if not is_ours:
            return f"{path}: is {before}; run {wanted.command(path)}"
        if not self._is_dry:
            rights.given(real, wanted, has_owners=self.has_owners)
        return f"{path}: was {before}; setup gives it {wanted.owner}:{wanted.group} {wanted.mode:o}"

    def _decided(self, wanted: Wanted, present: bytes | None) -> Done:
        if present is None:
            return Done.MADE
        if present == wanted.content:
            return Done.SAME
        if wanted.rule is Rule.KEEP:
            return Done.KEPT
        if wanted.rule is Rule.REPLACE or self._manifest.digests.get(str(wanted.path)) == _digest(present):
            return Done.CHANGED
        return Done.DIFFERS

    def _put(self, wanted: Wanted) -> None:
        """Write through a new file that has its owner and mode from the start, and replace the old one at once."""
        path = self.real(wanted.path)
        beside = path.with_name(f".{path.name}.new")
        try:
            self._make_folders(path.parent)
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                if self.has_owners:
                    user = rights.user_id(wanted.rights.owner)
                    os.fchown(file.fileno(), user, rights.group_id(wanted.rights.group))
                os.fchmod(file.fileno(), wanted.rights.mode)
                file.write(wanted.content)
                if wanted.is_synced:
                    file.flush()
                    os.fsync(file.fileno())
            beside.replace(path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise NotSetUp(f"{wanted.path}: can't be written: {_advised(exc)}") from exc

    def _make_folders(self, folder: Path) -> None:
        """Make missing folders with mode 755, whatever the umask."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700)  # with an open umask others could write to it until it has its mode
            each.chmod(0o755)

    def folder(self, path: Path, wanted: Rights) -> Path:
        """Make a folder with these rights, if it is missing; return where it is. Raises NotSetUp."""
        real = self.real(path)
        if self._is_dry or real.is_dir():
            return real
        try:
            self._make_folders(real.parent)
            real.mkdir(mode=0o700)
            if self.has_owners:
                os.chown(real, rights.user_id(wanted.owner), rights.group_id(wanted.group))
            real.chmod(wanted.mode)
        except OSError as exc:
            raise NotSetUp(f"{path}: can't be made: {_advised(exc)}") from exc
        return real


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: two runs at once would lose accounts of each other. Raises NotSetUp."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotSetUp(f"{folder}: can't be opened: {_advised(exc)}") from exc
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise NotSetUp("another fenced setup is running: wait until it has ended, then run this one again") from exc
    finally:
        os.close(held)


def _advised(exc: OSError) -> str:
    """Return what went wrong, and what to do now."""
    advice = {
        errno.ENOSPC: "free space on the disk, then run setup again",
        errno.EACCES: "run setup as root",
        errno.EPERM: "run setup as root",
    }
    return f"{exc.strerror}; {advice.get(exc.errno or 0, 'repair that, then run setup again')}"


def once(path: Path, made: Callable[[], bytes], disk: Disk) -> bytes:
    """Return the content of a file that is made only once: the present one, otherwise a new one."""
    present = disk.read(path)
    return made() if present is None else present


def counted(outcomes: list[Outcome]) -> Mapping[Done, int]:
    """Return how many files each thing happened to."""
    return {done: sum(outcome.done is done for outcome in outcomes) for done in Done}


def _is_moment(until: object) -> bool:
    """Return whether it is a time with its offset."""
    try:
        return isinstance(until, str) and datetime.fromisoformat(until).tzinfo is not None
    except ValueError:
        return False


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _difference(wanted: Wanted, present: bytes) -> str:
    """Return what a person would have to change to get what setup would write."""
    if wanted.is_hidden:
        return ""
    lines = difflib.unified_diff(
        present.decode(errors="replace").splitlines(),
        wanted.content.decode(errors="replace").splitlines(),
        f"{wanted.path} (now)",
        f"{wanted.path} (setup)",
        lineterm="",
        n=1,
    )
    listed = list(lines)
    left = len(listed) - DIFF_LINES_MAX
    return "\n".join([*listed[:DIFF_LINES_MAX], *([f"... and {left} more lines"] if left > 0 else [])])
