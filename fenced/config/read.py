"""Reads TOML, YAML or JSON files, by suffix, and finds the files that a pattern names. Knows no key.

A file is read whole or not at all, and a duplicate key is a mistake in every format.
"""

import glob
import json
import tomllib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from fenced.config.files import UnusableFile, check_listing, is_folder, read_text
from fenced.config.mistakes import Mistakes, Where

FILE_BYTES_MAX: Final = 256 * 1024 * 1024
FILES_MAX: Final = 10_000
VALUES_MAX: Final = 5_000_000
"""Limit of one YAML file, with its aliases expanded."""

_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UnreadableFile(Exception):
    """The file is not in the format of its suffix. The text never quotes the file, which may hold a secret."""


def read_toml(path: Path, mistakes: Mistakes) -> dict[str, Any] | None:
    """Return the tables of a TOML file, or None with a mistake."""
    return _read(path, _toml, mistakes)


def read_inventory(path: Path, mistakes: Mistakes) -> dict[str, Any] | None:
    """Return the tables of an inventory file of any format, or None with a mistake."""
    parse = _FORMATS.get(path.suffix.lower())
    if parse is None:
        mistakes.error(
            Where(str(path)),
            "the name of an inventory file must end with .toml, .yaml, .yml or .json",
            value=path.suffix,
            unit="file",
        )
        return None
    return _read(path, parse, mistakes)


def find_files(pattern: str, base: Path, where: Where, mistakes: Mistakes, *, can_be_empty: bool) -> list[Path]:
    """Return the files that a name or pattern means, sorted; relative to `base`. Report a pattern without a match.

    Report a folder that can't be read, too: its hosts would look as if they had been removed.
    """
    if not glob.has_magic(pattern):
        return [base / pattern]
    is_whole = _check_folders(pattern, base, where, mistakes)
    files = [path for path in _matches(pattern, base) if not is_folder(path)]
    if not files and is_whole and not can_be_empty:
        mistakes.error(where, "no file matches this pattern", value=pattern, unit="file")
    if len(files) > FILES_MAX:
        mistakes.error(where, f"matches {len(files)} files, more than {FILES_MAX}", value=pattern, unit="file")
    return files[:FILES_MAX]


def _matches(pattern: str, base: Path) -> list[Path]:
    found = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 - absolute patterns, too
    return sorted(base / name for name in found)


def _check_folders(pattern: str, base: Path, where: Where, mistakes: Mistakes) -> bool:
    """Whether every folder that the pattern searches can be read; `glob` skips the others silently."""
    parts = Path(pattern).parts
    first_magic = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    folders = {base.joinpath(*parts[:first_magic])}
    for end in range(first_magic + 1, len(parts) + (parts[-1] == "**")):
        folders.update(path for path in _matches(str(Path(*parts[:end])), base) if is_folder(path))
    is_whole = True
    for folder in sorted(folders):
        try:
            check_listing(folder)
        except UnusableFile as exc:
            mistakes.error(where, f"{folder}: {exc}", value=pattern, unit="file")
            is_whole = False
    return is_whole


def _read(path: Path, parse: Callable[[str], Any], mistakes: Mistakes) -> dict[str, Any] | None:
    where = Where(str(path))
    try:
        tables = parse(read_text(path, bytes_max=FILE_BYTES_MAX)[0])
    except (UnusableFile, _UnreadableFile) as exc:
        mistakes.error(where, str(exc), unit="file")
    except RecursionError:
        mistakes.error(where, "is nested too deeply", unit="file")
    else:
        if tables is None:
            return {}
        if isinstance(tables, dict):
            return tables
        mistakes.error(where, "must be a table of tables", unit="file")
    return None


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        said = str(exc).replace("Cannot overwrite a value", "a key is written twice in one table")
        raise _UnreadableFile(f"not TOML: {said}") from exc
    except ValueError as exc:
        raise _UnreadableFile("not TOML: a number with too many digits") from exc


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as exc:
        raise _UnreadableFile(f"not JSON: {exc.msg} (at line {exc.lineno}, column {exc.colno})") from exc
    except ValueError as exc:
        raise _UnreadableFile("not JSON: a number with too many digits") from exc


def _yaml(text: str) -> Any:
    loader = _UniqueKeysLoader(text)
    try:
        node = loader.get_single_node()
        _expand(node, {})
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        place = (
            f" (at line {exc.problem_mark.line + 1}, column {exc.problem_mark.column + 1})" if exc.problem_mark else ""
        )
        raise _UnreadableFile(f"not YAML: {exc.problem or 'broken'}{place}") from exc
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as exc:
        # PyYAML raises the others for a tag that does not fit its value, as in `!!timestamp soon`.
        raise _UnreadableFile("not YAML: an invalid character or value") from exc
    finally:
        loader.dispose()


def _expand(node: Any, known: dict[int, int]) -> int:
    """Count the values below a node, those of an alias as often as it is used.

    Parsing visits each of them, and one page of aliases of aliases can stand for billions.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    count = known.get(id(node))
    if count is None:
        known[id(node)] = VALUES_MAX  # an alias inside its own anchor
        pairs = isinstance(node, yaml.MappingNode)
        inner = [each for pair in node.value for each in pair] if pairs else node.value
        count = 1 + sum(_expand(each, known) for each in inner)
        known[id(node)] = count
    if count > VALUES_MAX:
        raise _UnreadableFile(f"its aliases expand to more than {VALUES_MAX} values, or refer to themselves")
    return count


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _UnreadableFile(f"the key {twice!r} is given twice in one table")
    return table


class _UniqueKeysLoader(_FastLoader):  # type: ignore[misc]  # which base there is depends on how PyYAML was built
    """The safe loader, but it refuses duplicate keys instead of keeping the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        own = [(key.value, key.start_mark) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[str] = set()
        for key, mark in own:
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is given twice in one table", problem_mark=mark)
            if isinstance(key, str):
                seen.add(key)
        table: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return table


_FORMATS: Final[dict[str, Callable[[str], Any]]] = {".toml": _toml, ".json": _json, ".yaml": _yaml, ".yml": _yaml}
