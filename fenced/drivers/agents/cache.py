"""What agents said of themselves, kept on disk, so that a start or a check of the configuration does not run them all.

Knows files, not XML. One rule: nothing is believed of a program that is not exactly the file that was asked, nor after
the fencing library beside it changed; a cache that can't be read or written is no cache, and no error.
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
"""A wrapper may run another program, whose change its own file does not show."""
LIBRARIES: Final = (Path("/usr/share/fence"), Path("/usr/local/share/fence"))
"""Where Debian, Fedora and an installation by hand keep the library that writes the metadata."""
DIRECTORY: Final = "agents"

State = dict[str, Any]
"""What a program and the library were when it was asked."""


def state_of(program: Path) -> State:
    """Inode and change time see also a file that was put there with an old modification time. Raises OSError."""
    libraries = [_stamp(path) for library in LIBRARIES for path in sorted(library.glob("*.py"))]
    return {"version": VERSION, "program": [str(program), *_stamp(program)], "libraries": libraries}


class MetadataCache:
    """Metadata as text, by program. `above`: an existing directory of the daemon's own; nothing is kept without it."""

    def __init__(self, above: Path) -> None:
        self._above = above

    def get(self, program: Path) -> bytes | None:
        """What the program said when it was last asked, if it is still the same file."""
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
        """Keep what a program said; `state` was taken before it was asked. A half-written file is never seen."""
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
        """Root, who checks a configuration, makes it for the user whose state it is."""
        if directory.is_dir():
            return
        directory.mkdir(mode=0o755)
        owner = self._above.stat()
        if owner.st_uid != os.geteuid():
            os.chown(directory, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _is_trusted(self, found: os.stat_result) -> bool:
        """Whether nobody but root, ourselves and the one whose state it is could have written it."""
        return found.st_uid in {0, os.geteuid(), self._above.stat().st_uid} and not found.st_mode & 0o022

    def _path(self, program: Path) -> Path:
        place = hashlib.sha256(os.fsencode(program)).hexdigest()[:16]
        return self._above / DIRECTORY / f"{program.name}-{place}"


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
