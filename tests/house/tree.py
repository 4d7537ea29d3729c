"""The repository as a reader finds it: its files, without what tools leave behind."""

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SKIPPED: Final = frozenset({"__pycache__", "build", "dist", "tour"})
VISIBLE: Final = frozenset({".ci", ".gitignore"})


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the project. Names that start with a dot belong to tools, except `VISIBLE`."""
    return tuple(sorted(_below(ROOT)))


def _below(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in SKIPPED or (path.name.startswith(".") and path.name not in VISIBLE):
            continue
        if path.is_dir():
            yield from _below(path)
        elif path.is_file():
            yield path


def python_files(*parts: str) -> tuple[Path, ...]:
    """Return the Python files below these folders (by default those of the package and the tests)."""
    folders = [ROOT / part for part in parts or ("fenced", "tests")]
    return tuple(path for path in files() if path.suffix == ".py" and any(path.is_relative_to(f) for f in folders))


@cache
def tree(path: Path) -> ast.Module:
    """Kept until the end, and exempt from garbage collection because of its many nodes."""
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    finally:
        gc.freeze()
        gc.enable()


def name(path: Path) -> str:
    """Return the path in the form used by the lists of exceptions."""
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of a file, including nested ones."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
