"""The outcome of a reload, as the API and `fenced reload` show it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One mistake of the configuration: `place` is the file and the key."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadVerdict:
    """`refused`: why the configuration was rejected; "": it is in force.

    `restart`: changed keys that only a restart applies. Refused: they are why. Accepted: they keep their old value.
    """

    refused: str = ""
    flaws: tuple[Flaw, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class OtherFile(Exception):
    """The daemon reads another file than the caller means. The text names it."""


Reload = Callable[[str], Awaitable[ReloadVerdict]]
"""Reload the configuration. Takes the file that the caller means, or "". Raises OtherFile, control.Unavailable."""
