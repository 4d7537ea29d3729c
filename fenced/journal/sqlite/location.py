"""Turns `[store] url` into the path of the database file. It does not touch the file."""

from pathlib import Path
from typing import Final

_SCHEME: Final = "sqlite:///"


def database_path(url: str, state_dir: Path) -> Path:
    """`sqlite:///name.db` is relative to `state_dir`; `sqlite:////dir/name.db` is absolute. Raises ValueError."""
    name = url.removeprefix(_SCHEME)
    if not url.startswith(_SCHEME) or not name or name.endswith("/") or set(name) & set("?#\0"):
        raise ValueError(f"{url!r}: use sqlite:///FILE, relative to state_dir or absolute, without parameters")
    return state_dir / name
