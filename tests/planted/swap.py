"""Plants a bug into a running program: replaces the code of its functions wherever they are referenced.

A process that has imported the correct program once thus serves every bug inside a function. Where anything outside
functions differs (constants, defaults, decorators, classes), `swap` returns False and changes nothing, because that
code has run already.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Final

OPTIMIZED: Final = 0x1
"""CO_OPTIMIZED: set for functions, not for modules and class bodies."""

Place = tuple[str, int]
"""Qualified name and first line: identifies a function of one file."""


Running = dict[str, list[FunctionType]]
"""The functions of each imported file."""


def running() -> Running:
    """Return the functions that this process has imported and not frozen."""
    found: Running = defaultdict(list)
    for function in [it for it in gc.get_objects() if isinstance(it, FunctionType)]:
        found[function.__code__.co_filename].append(function)
    return found


def swap(program: Running, file: str, *, sound: str, planted: str) -> bool:
    """Replace the functions of `file` (as imported) by those of `planted`. Return whether that was possible. Raises
    SyntaxError."""
    new: dict[Place, CodeType] = {}
    old_code, new_code = (compile(text, file, "exec", dont_inherit=True) for text in (sound, planted))
    if not _pair(old_code, new_code, new):
        return False
    for function in program.get(file, ()):
        code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None:
            function.__code__ = code
    return True


def _pair(old: CodeType, new: CodeType, found: dict[Place, CodeType]) -> bool:
    """Pair the functions of a scope that has run with their new code; return False where the scope itself differs."""
    if (old.co_code, old.co_names, len(old.co_consts)) != (new.co_code, new.co_names, len(new.co_consts)):
        return False
    for before, after in zip(old.co_consts, new.co_consts, strict=True):
        if not (isinstance(before, CodeType) and isinstance(after, CodeType)):
            if type(before) is not type(after) or before != after:
                return False
        elif not before.co_flags & OPTIMIZED:
            if not _pair(before, after, found):
                return False
        elif before.co_freevars != after.co_freevars:
            return False
        else:
            found |= dict(_with_inner(before, after))
    return True


def _with_inner(old: CodeType, new: CodeType) -> Iterator[tuple[Place, CodeType]]:
    """Yield a function and its inner functions of the same name: one of them may be referenced already."""
    yield (old.co_qualname, old.co_firstlineno), new
    inner = {it.co_qualname: it for it in new.co_consts if isinstance(it, CodeType)}
    for it in old.co_consts:
        after = inner.get(it.co_qualname) if isinstance(it, CodeType) else None
        if after is not None and isinstance(it, CodeType) and it.co_freevars == after.co_freevars:
            yield from _with_inner(it, after)
