"""Opens and checks the files that a configuration names, here and nowhere else. Knows no key, and no format but TLS's.

Every fault ends as `UnusableFile` with a readable reason. Only regular files are opened: a pipe would block the
reader, and opening a device may make it act.
"""

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECRET_BYTES_MAX: Final = 64 * 1024


class UnusableFile(Exception):
    """The text says why, without the path and the content."""


def read(path: str | Path, *, bytes_max: int) -> tuple[bytes, os.stat_result]:
    """Return the content of a regular file, and its state. Raises UnusableFile."""
    try:
        found = os.stat(path)  # noqa: PTH116 - ten thousand Path objects would cost as much as reading the files
        if not stat.S_ISREG(found.st_mode):
            raise UnusableFile("not a file")
        if found.st_size > bytes_max:
            raise UnusableFile(f"larger than {bytes_max} bytes")
        # O_NONBLOCK: do not wait for a writer if a pipe took the file's place meanwhile.
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
    return data, found


def read_text(path: str | Path, *, bytes_max: int) -> tuple[str, os.stat_result]:
    """Return the text of a UTF-8 file with its line ends, and the file's state. Raises UnusableFile."""
    data, found = read(path, bytes_max=bytes_max)
    try:
        return data.decode("utf-8"), found
    except UnicodeDecodeError as exc:
        raise UnusableFile(f"not UTF-8 at byte {exc.start}") from exc


def check_pair(cert_file: Path, key_file: Path) -> None:
    """Check that TLS accepts this certificate and key as a pair. Raises UnusableFile."""
    try:
        # The empty password keeps OpenSSL from prompting at a terminal for an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password=b"")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise UnusableFile(f"TLS can't use it with {key_file}: {exc}; give a certificate and its own key") from exc


def check_authority(path: Path) -> None:
    """Check that TLS accepts these authorities. Raises UnusableFile."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError) as exc:
        raise UnusableFile(f"not a certificate authority: {exc}") from exc


def check_folder(path: Path) -> None:
    """Accept a folder, or nothing yet. Raises UnusableFile."""
    _check_kind(path, stat.S_ISDIR, "not a folder")


def check_file_to_be(path: Path) -> None:
    """Accept a regular file, or nothing yet. Raises UnusableFile."""
    _check_kind(path, stat.S_ISREG, "not a file")


def check_socket_to_be(path: Path) -> None:
    """Accept a unix socket, or nothing yet. Raises UnusableFile."""
    _check_kind(path, stat.S_ISSOCK, "not a socket")


def check_listing(path: Path) -> None:
    """Accept a folder that can be listed, or nothing. Raises UnusableFile."""
    try:
        with os.scandir(path):
            pass
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        raise UnusableFile(why_unusable(exc)) from exc


def is_folder(path: Path) -> bool:
    """Return False also for what can't be read; reading it as a file reports why."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def why_unusable(exc: OSError | ValueError) -> str:
    """Return why a file is unusable. A ValueError comes from a name that no file can have."""
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
