"""A row: a name, a title, the programs it needs, and a function that measures within a bounded time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import Report

Measure = Callable[[Path, Report], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`measure` fills the report; its folder is its own and empty. `bound_seconds`: it breaks if it takes longer.

    `has_namespace`: it makes a network namespace, so it needs root.
    """

    name: str
    title: str
    measure: Measure
    needs: tuple[str, ...] = ("mosquitto",)
    has_namespace: bool = False
    bound_seconds: float = 120.0
