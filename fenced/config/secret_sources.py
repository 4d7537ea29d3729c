"""Reads secrets from a file, an environment variable or a systemd credential. The configuration itself never holds one.

Every secret leaves here as `Secret`, and no mistake quotes one.
"""

import contextlib
import grp
import os
import pwd
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from fenced.config.files import SECRET_BYTES_MAX, UnusableFile, read_text
from fenced.config.mistakes import Mistakes, Where
from fenced.model.inventory import Secret

CREDENTIALS_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"
SOURCES: Final = ("file", "env", "credential")
_PASSWORD_KEYS: Final = tuple((source, f"password_{source}") for source in SOURCES)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)


class HasPassword(Protocol):
    """A table with the three keys that name a password."""

    @property
    def password_file(self) -> str: ...
    @property
    def password_env(self) -> str: ...
    @property
    def password_credential(self) -> str: ...


class SecretReader:
    """Reads each file once, however many hosts share it, and reports its mistakes at each of them.

    `is_outside_unit`: a person checks the files. Only the unit has its credentials, so they are a warning then.
    """

    def __init__(self, environ: Mapping[str, str], mistakes: Mistakes, *, is_outside_unit: bool = False) -> None:
        self._environ = environ
        self._is_outside_unit = is_outside_unit
        self._mistakes = mistakes
        self._texts: dict[str, tuple[str | None, str]] = {}
        self._secrets: dict[str, Secret] = {}
        self._open_to_all: dict[str, Where] = {}
        self._open_to_group: dict[str, tuple[Where, int]] = {}

    def password(self, table: HasPassword, where: Where, base: Path) -> Secret | None:
        """Return the password that the table names; None if it names none, or with a mistake."""
        given = {source: place for source, key in _PASSWORD_KEYS if (place := getattr(table, key))}
        return self.secret("password", given, where, base) if given else None

    def named(self, table: Mapping[str, Any], where: Where, base: Path) -> tuple[tuple[str, Secret], ...]:
        """Return the secrets of a table of NAME_file, NAME_env and NAME_credential, by name."""
        sources: dict[str, dict[str, str]] = {}
        for key, value in table.items():
            name, _, source = str(key).rpartition("_")
            if source not in SOURCES or _NAME.fullmatch(name) is None:
                self._mistakes.error(
                    where.key(str(key)), "a secret is never written inline: use NAME_file, NAME_env or NAME_credential"
                )
            elif not isinstance(value, str) or not value or not value.isprintable():
                self._mistakes.error(where.key(str(key)), "must be text in quotes: the place of the secret")
            else:
                sources.setdefault(name, {})[source] = value
        found = [(name, self.secret(name, given, where, base)) for name, given in sources.items()]
        return tuple((name, secret) for name, secret in found if secret is not None)

    def secret(self, name: str, sources: Mapping[str, str], where: Where, base: Path) -> Secret | None:
        """Return the secret that `NAME_file`, `NAME_env` or `NAME_credential` names.

        `sources`: the keys without NAME.
        """
        named = [source for source in SOURCES if sources.get(source)]
        if not named:
            return None
        if len(named) > 1:
            both = " and ".join(f"{name}_{source}" for source in named)
            self._mistakes.error(where.key(f"{name}_{named[1]}"), f"only one of {both} can be given")
        source = named[0]
        value, place = sources[source], where.key(f"{name}_{source}")
        if source == "env":
            text = self._from_environment(value, place)
        elif source == "file":
            text = self.text(os.path.join(base, value), place)  # noqa: PTH118 - ten thousand Path objects would cost as much as reading the files
        else:
            text = self._from_credential(value, place)
        return self._as_secret(text, value, place) if text is not None else None

    def text(self, path: str, place: Where, *, bytes_max: int = SECRET_BYTES_MAX) -> str | None:
        """Return the unchanged text of a secret file, or None with a mistake.

        A file that others or the members of the service's group can read is a warning.
        """
        if path not in self._texts:
            self._texts[path] = self._read(path, place, bytes_max)
        text, why = self._texts[path]
        if text is None:
            self._mistakes.error(place, why, value=path, unit="file")
        return text

    def check_key(self, path: Path, place: Where) -> None:
        """Note who can read a private key, which TLS reads by itself."""
        with contextlib.suppress(OSError, ValueError):  # reported where it is used
            self._note_readers(str(path), place, path.stat())

    def tell_open(self) -> None:
        """Report the first file that others can read, and the first that a group can, and how many more there are."""
        if self._open_to_all:
            path, place = next(iter(self._open_to_all.items()))
            self._mistakes.warning(
                place,
                f"every user of this machine can read it{_more(self._open_to_all)}: run chmod o-r",
                value=path,
                unit="file",
            )
        if self._open_to_group:
            path, (place, group) = next(iter(self._open_to_group.items()))
            user = _service_of(group) or str(os.geteuid())
            self._mistakes.warning(
                place,
                f"members of the group {_group_name(group)} can read it{_more(self._open_to_group)}, and only the "
                f"service needs it (members of the daemon's group are operators): run chown {user} {path} && "
                f"chmod 400 {path}",
                value=path,
                unit="file",
            )

    def _read(self, path: str, place: Where, bytes_max: int) -> tuple[str | None, str]:
        try:
            text, found = read_text(path, bytes_max=bytes_max)
        except UnusableFile as exc:
            return None, str(exc)
        self._note_readers(path, place, found)
        return text, ""

    def _note_readers(self, path: str, place: Where, found: os.stat_result) -> None:
        if found.st_mode & stat.S_IROTH:
            self._open_to_all.setdefault(path, place)
        elif found.st_mode & stat.S_IRGRP and _is_services(found.st_gid):
            self._open_to_group.setdefault(path, (place, found.st_gid))

    def _from_environment(self, name: str, place: Where) -> str | None:
        text = self._environ.get(name)
        if text is None:
            self._mistakes.error(place, "this environment variable is not set", value=name, unit="environment variable")
        return text

    def _from_credential(self, name: str, place: Where) -> str | None:
        if "/" in name or name in {".", ".."}:
            self._mistakes.error(place, "a credential's name has no '/'", value=name, unit="systemd credential")
            return None
        directory = self._environ.get(CREDENTIALS_DIRECTORY)
        if directory is None and self._is_outside_unit:
            self._mistakes.warning(
                place,
                f"not checked: only the unit can read its credentials. It needs LoadCredential={name}:FILE "
                "(`systemctl cat fenced`, of a proxy `systemctl cat fenced-proxy`, shows it)",
                value=name,
                unit="systemd credential",
            )
            return f"the credential {name}"
        if directory is None:
            self._mistakes.error(
                place,
                f"{CREDENTIALS_DIRECTORY} is not set: add LoadCredential= to the systemd unit",
                value=name,
                unit="systemd credential",
            )
            return None
        return self.text(f"{directory}/{name}", place)

    def _as_secret(self, text: str, value: str, place: Where) -> Secret | None:
        line = text.removesuffix("\n").removesuffix("\r")
        if not line:
            self._mistakes.error(place, "is empty: it must hold the secret", value=value)
            return None
        if "\n" in line or "\r" in line or "\0" in line:
            self._mistakes.error(place, "must hold the secret on one line", value=value)
            return None
        return self._secrets.setdefault(line, Secret(line))


def _more(found: Mapping[str, object]) -> str:
    return f" (and {len(found) - 1} more files)" if len(found) > 1 else ""


def _is_services(group: int) -> bool:
    """Return whether it is the group of the service: this process's, or for root each user's own group."""
    if group == 0:
        return False
    return group == os.getegid() or (os.geteuid() == 0 and _service_of(group) is not None)


def _service_of(group: int) -> str | None:
    """Return the user whose own group this is, by name."""
    try:
        found = pwd.getpwuid(os.geteuid()) if os.geteuid() != 0 else pwd.getpwnam(grp.getgrgid(group).gr_name)
    except KeyError:
        return None
    return found.pw_name if found.pw_gid == group else None


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
