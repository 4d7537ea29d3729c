"""The one place where a file that a configuration names is looked at and opened. Knows no key, and no format but TLS's.

One rule: whatever is wrong with a file ends as `UnusableFile` with a reason for people. Nothing that is not a regular
file is opened: a pipe would block the reader, and a device may act when it is opened.
"""

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECRET_BYTES_MAX: Final = 64 * 1024


class UnusableFile(Exception):
    """The text says why, without the path and without anything of the content."""


def read(path: str | Path, *, bytes_max: int) -> tuple[bytes, int]:
    """A regular file, whole, and its mode. Raises UnusableFile."""
    try:
        found = os.stat(path)  # noqa: PTH116 - ten thousand Path objects would cost as much as reading the files
        if not stat.S_ISREG(found.st_mode):
            raise UnusableFile("not a file")
        if found.st_size > bytes_max:
            raise UnusableFile(f"larger than {bytes_max} bytes")
        # O_NONBLOCK: a pipe that took the file's place meanwhile is seen below instead of waiting for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(handle, "rb") as file:  # noqa: PTH123 - as above
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise UnusableFile("not a file")
            data = file.read(bytes_max + 1)
    except (OSError, ValueError) as exc:
        raise UnusableFile(why_unusable(exc)) from exc
    if len(data) > bytes_max:
        raise UnusableFile(f"larger than {bytes_max} bytes")
    return data, found.st_mode


def read_text(path: str | Path, *, bytes_max: int) -> tuple[str, int]:
    """The text of a UTF-8 file with its line ends as they are, and the file's mode. Raises UnusableFile."""
    data, mode = read(path, bytes_max=bytes_max)
    try:
        return data.decode("utf-8"), mode
    except UnicodeDecodeError as exc:
        raise UnusableFile(f"not UTF-8 at byte {exc.start}") from exc


def check_pair(cert_file: Path, key_file: Path) -> None:
    """A certificate and the key that is its own, as TLS will take them. Raises UnusableFile."""
    try:
        # An encrypted key must not make a daemon ask at a terminal that it does not have.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password=b"")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise UnusableFile(f"it and {key_file} don't belong together, or TLS can't use them: {exc}") from exc


def check_authority(path: Path) -> None:
    """Certificates of those who are trusted. Raises UnusableFile."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError) as exc:
        raise UnusableFile(f"no certificate of an authority: {exc}") from exc


def check_folder(path: Path) -> None:
    """A folder, or nothing yet: it may be made later. Raises UnusableFile."""
    _check_kind(path, stat.S_ISDIR, "not a folder")


def check_file_to_be(path: Path) -> None:
    """A regular file, or nothing yet. Raises UnusableFile."""
    _check_kind(path, stat.S_ISREG, "not a file")


def check_listing(path: Path) -> None:
    """A folder whose names can be read, or nothing. Raises UnusableFile."""
    try:
        with os.scandir(path):
            pass
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        raise UnusableFile(why_unusable(exc)) from exc


def is_folder(path: Path) -> bool:
    """False also for what can't be looked at: whoever reads it as a file is told why."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def why_unusable(exc: OSError | ValueError) -> str:
    """What to tell of a file that could not be used. ValueError: a name that no file can have."""
    if isinstance(exc, FileNotFoundError):
        return "no such file"
    if isinstance(exc, OSError):
        return f"can't be read: {exc.strerror or type(exc).__name__}"
    return "can't be read: no file can have this name"


def _check_kind(path: Path, is_kind: Callable[[int], bool], why_not: str) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        raise UnusableFile(why_unusable(exc)) from exc
    if not is_kind(mode):
        raise UnusableFile(why_not)
