"""Caches agents' metadata on disk, so that a start or a check of the configuration does not run every agent.

It stores bytes; `metadata` parses them. An entry counts only for exactly the file that was run, and only until the
fencing library changes. A cache that can't be read or written counts as empty; it is never an error.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

VERSION: Final = 1
TEXT_BYTES_MAX: Final = 1024 * 1024
HEAD_BYTES_MAX: Final = 16 * 1024
AGE_SECONDS_MAX: Final = 7 * 86400.0
"""A wrapper may run another program; a change of that one does not show in the wrapper's file."""
LIBRARIES: Final = (Path("/usr/share/fence"), Path("/usr/local/share/fence"))
"""Where Debian, Fedora and manual installations keep the library that writes the metadata."""
DIRECTORY: Final = "agents"

State = dict[str, Any]
"""The state of a program's file and of the library when the program was run."""


def state_of(program: Path) -> State:
    """Return the present state.

    Inode and change time reveal a new file with an old modification time. Raises OSError.
    """
    libraries = [_stamp(path) for library in LIBRARIES for path in sorted(library.glob("*.py"))]
    return {"version": VERSION, "program": [str(program), *_stamp(program)], "libraries": libraries}


class MetadataCache:
    """Metadata as text, by program. `above`: the daemon's directory; if it is missing, nothing is kept."""

    def __init__(self, above: Path) -> None:
        self._above = above

    def get(self, program: Path) -> bytes | None:
        """Return the program's last metadata if the file is still the same."""
        try:
            with self._path(program).open("rb") as file:
                if not self._is_trusted(os.fstat(file.fileno())):
                    return None
                head = json.loads(file.readline(HEAD_BYTES_MAX))
                text = file.read(TEXT_BYTES_MAX + 1)
            is_fresh = 0 <= time.time() - head["asked_at"] < AGE_SECONDS_MAX
            is_same = head["state"] == state_of(program) and head["digest"] == _digest(text)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return text if is_fresh and is_same else None

    def put(self, program: Path, text: bytes, state: State) -> None:
        """Store a program's metadata atomically. Take `state` before running the program."""
        head = {"state": state, "digest": _digest(text), "asked_at": time.time()}
        path = self._path(program)
        with contextlib.suppress(OSError):
            if len(text) > TEXT_BYTES_MAX or not self._above.is_dir() or state != state_of(program):
                return
            self._make(path.parent)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(json.dumps(head).encode() + b"\n" + text)
                    os.fchmod(file.fileno(), 0o644)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise

    def _make(self, directory: Path) -> None:
        """If root creates it (`check-config`), hand it to the owner of the state directory."""
        if directory.is_dir():
            return
        directory.mkdir(mode=0o755)
        owner = self._above.stat()
        if owner.st_uid != os.geteuid():
            os.chown(directory, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _is_trusted(self, found: os.stat_result) -> bool:
        """Return whether only root, this user or the owner of the state directory can have written the file."""
        return found.st_uid in {0, os.geteuid(), self._above.stat().st_uid} and not found.st_mode & 0o022

    def _path(self, program: Path) -> Path:
        place = hashlib.sha256(os.fsencode(program)).hexdigest()[:16]
        return self._above / DIRECTORY / f"{program.name}-{place}"


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
