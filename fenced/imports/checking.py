"""Check an imported inventory with the rules of `fenced check-config`, before anyone relies on it.

It is loaded beside a main file with defaults, in a folder of its own, where every secret file has a placeholder, also
those that the source names relative to the inventory. Only mistakes of the inventory count: the defaults of the main
file are not what the import is about.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from fenced.config.load import load
from fenced.config.mistakes import Mistake
from fenced.config.own_machine import OwnMachine
from fenced.config.resolve import Resolver, resolve_names
from fenced.imports.shape import Imported
from fenced.imports.writing import SECRETS, secret_files, text
from fenced.model.drivers import Catalogue

_MAIN: Final = '[daemon]\nname = "fenced-import"\nstate_dir = "."\n\n[inventory]\nfiles = ["inventory.toml"]\n'
_PLACEHOLDER: Final = "placeholder\n"
_SHARED: Final = "operation_timeout"
"""A key of the main file whose default the inventory can contradict."""


def check(
    imported: Imported,
    *,
    name: str,
    catalogue: Catalogue,
    own_machine: OwnMachine,
    resolve: Resolver = resolve_names,
) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """Return errors and warnings of the inventory, as if it were the file `name`."""
    with tempfile.TemporaryDirectory(prefix="fenced-import-") as folder:
        base = Path(folder)
        for file in (*(f"{SECRETS}/{file.name}" for file in secret_files(imported).values()), *_named(imported)):
            with suppress(OSError, ValueError):  # a name that no file can have: loading reports it
                _place(base, (base / file).resolve())
        (base / "inventory.toml").write_text(text(imported, head=()), encoding="utf-8")
        (base / "fenced.toml").write_text(_MAIN, encoding="utf-8")
        loaded = load(
            base / "fenced.toml",
            own_machine=own_machine,
            environ=os.environ,
            catalogue=catalogue,
            resolve=resolve,
            is_outside_unit=True,
        )
        return tuple(_of(loaded.errors, base, name)), tuple(_of(loaded.warnings, base, name))


def _place(base: Path, path: Path) -> None:
    """Write a placeholder, unless the path leads out of the folder."""
    if path.is_relative_to(base.resolve()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_PLACEHOLDER, encoding="utf-8")
        path.chmod(0o600)


def _named(imported: Imported) -> Iterator[str]:
    """Yield the password files that the source names itself."""
    return (device.password_file for host in imported.hosts for device in host.devices if device.password_file)


def _of(mistakes: tuple[Mistake, ...], base: Path, name: str) -> Iterator[Mistake]:
    """Yield the mistakes of the inventory, under its real name and without the temporary folder."""
    for mistake in mistakes:
        is_main = mistake.file == str(base / "fenced.toml")
        if is_main and not mistake.path.endswith(_SHARED):
            continue
        reason = mistake.reason.replace(f"{base}/", "")
        yield replace(mistake, file="fenced.toml (defaults)" if is_main else name, reason=reason)
