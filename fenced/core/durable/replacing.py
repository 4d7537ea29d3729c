"""`dataclasses.replace` at a tenth of the cost: a start folds a million records with it.

Only for frozen dataclasses with slots, without `__post_init__`, with every field an argument of `__init__`. A frozen
class lets its fields be set by slow calls only. So the copy is filled as an object of a twin class, which has the same
slots and is not frozen, and becomes an object of the right class at the end.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["replace"]

T = TypeVar("T")

Plan = tuple[type[Any], Callable[[object, object], None]]
"""The twin of a class, and what copies every slot from one object to another."""

_PLANS: dict[type[Any], Plan] = {}


def _replace(value: T, **changes: object) -> T:
    """Return a copy with these fields changed. Raises AttributeError for an unknown field."""
    kind: type[Any] = type(value)
    twin, fill = _PLANS.get(kind) or _plan(kind)
    copy = twin()
    fill(copy, value)
    for name, changed in changes.items():
        setattr(copy, name, changed)
    copy.__class__ = kind
    return copy  # type: ignore[no-any-return] # it is of the right class now


def _plan(kind: type[Any]) -> Plan:
    names = tuple(field.name for field in fields(kind))
    assert names == kind.__slots__ and not hasattr(kind, "__post_init__"), f"{kind.__name__} can't be copied by slots"
    made: dict[str, Any] = {}
    lines = (f"    copy.{name} = value.{name}\n" for name in names)
    exec(f"def fill(copy, value):\n{''.join(lines)}", made)  # noqa: S102 - the fields' names, as dataclasses does it
    _PLANS[kind] = type(kind.__name__, (), {"__slots__": names}), made["fill"]
    return _PLANS[kind]


if TYPE_CHECKING:
    from dataclasses import replace  # type checkers know its plugin for fields
else:
    replace = _replace
