"""Profiles of `fencectl`: where a site's controllers are and which token goes to them, by a name.

The file is `$XDG_CONFIG_HOME/fenced/config.toml`, by default `~/.config/fenced/config.toml`. A token belongs to the
addresses beside it: whoever names other ones (`--url`, FENCED_URL) gets nothing of a profile.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

FILE_MAX_BYTES: Final = 1024 * 1024
KEYS: Final = ("url", "token_file", "ca_file")
EXAMPLE: Final = '[profile.paris]\nurl = "https://fenced-a:8470,https://fenced-b:8470"'


class BadProfile(Exception):
    """The file, or the name that was asked for, can't be used. The text says what to do."""


class Denied(BadProfile):
    """The user may not read the file. It is another user's, as after `sudo -u`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the daemon is and how to talk to it. `url` None: look for one on this machine."""

    url: str | None = None
    token_file: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """What the file says. `default`: the profile that is used when nobody names one; "": none."""

    path: Path
    places: Mapping[str, Place]
    default: str = ""


def chosen(name: str | None, given: Place, environ: Mapping[str, str] = os.environ) -> Place:
    """Return the place to use. `name`: the profile that was asked for; `given`: what options and variables say.

    Raises BadProfile.
    """
    if given.url is not None and name is None:
        return given
    if given.url is not None:
        raise BadProfile(f"give either --url or --profile {name}: a profile has its own addresses")
    try:
        known = read(default_path(environ))
    except Denied:
        if name is None:
            return given
        raise
    name = name or known.default
    if not name:
        return given
    if name not in known.places:
        listed = ", ".join(sorted(known.places)) or "none"
        raise BadProfile(f"{known.path} has no profile {name!r}; it has: {listed}")
    place = known.places[name]
    return replace(place, token_file=given.token_file or place.token_file, ca_file=given.ca_file or place.ca_file)


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's file."""
    home = environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(home) if home.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    return folder / "fenced" / "config.toml"


def read(path: Path) -> Profiles:
    """Return the profiles of a file; none if there is no file. Raises Denied, and BadProfile with every mistake."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
        if len(content) > FILE_MAX_BYTES:
            raise BadProfile(f"{path} is larger than {FILE_MAX_BYTES} bytes")
        given = tomllib.loads(content.decode())
    except (FileNotFoundError, NotADirectoryError):
        return Profiles(path=path, places={})
    except OSError as exc:
        raise (Denied if isinstance(exc, PermissionError) else BadProfile)(
            f"can't read {path}: {exc.strerror}"
        ) from exc
    except ValueError as exc:  # not UTF-8, or no TOML
        raise BadProfile(f"{path}: {exc}") from exc
    unknown = given.keys() - {"default", "profile"}
    mistakes = [f"{key}: unknown; known are default and profile" for key in sorted(unknown)]
    tables = given.get("profile", {})
    places: dict[str, Place] = {}
    if not isinstance(tables, dict):
        mistakes.append(f"profile: must be tables, such as {EXAMPLE!r}")
        tables = {}
    for name, table in tables.items():
        places[name] = _place(name, table, path.parent, mistakes)
    default = given.get("default", "")
    if not isinstance(default, str) or (default and default not in places):
        mistakes.append(f"default: {default!r} is no profile of this file")
    if mistakes:
        raise BadProfile("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return Profiles(path=path, places=places, default=default)


def _place(name: str, table: Any, folder: Path, mistakes: list[str]) -> Place:
    where = f"profile.{name}"
    if not isinstance(table, dict):
        mistakes.append(f"{where}: must be a table with url")
        return Place()
    mistakes += [f"{where}.{key}: unknown; known are {', '.join(KEYS)}" for key in table.keys() - set(KEYS)]
    said = {key: table[key] for key in KEYS if key in table}
    mistakes += [f"{where}.{key}: must be a text" for key, value in said.items() if not isinstance(value, str)]
    if "url" not in said:
        mistakes.append(f"{where}: needs url")
    texts = {key: value for key, value in said.items() if isinstance(value, str)}
    return Place(
        url=texts.get("url"),
        token_file=_absolute(texts.get("token_file"), folder),
        ca_file=_absolute(texts.get("ca_file"), folder),
    )


def _absolute(path: str | None, folder: Path) -> str | None:
    """Return a path; a relative one is relative to the file, and `~` is the home folder."""
    return None if path is None else str(folder / Path(path).expanduser())
