"""Holds a program's output: bounded, and masked where it is shown.

A program's text may go into an error message only through `Mask`.
"""

from dataclasses import dataclass
from typing import Final

from fenced.model.text import Mask, printable

LINES_MAX: Final = 3
LINE_CHARACTERS_MAX: Final = 240
TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One stream of a program: its first bytes, and its last ones if it printed more than is kept."""

    head: bytes = b""
    tail: bytes = b""
    is_cut: bool = False

    def __repr__(self) -> str:
        return f"Output({len(self.head) + len(self.tail)} bytes)"

    @property
    def is_empty(self) -> bool:
        """Whether the program printed nothing."""
        return not self.head and not self.tail

    @property
    def text(self) -> str:
        """All kept text, unmasked: search it, don't show it."""
        joined = self.head + b"\n" + self.tail if self.is_cut else self.head
        return joined.decode("utf-8", errors="replace")

    @property
    def whole_lines(self) -> str:
        """The complete lines alone, for answers that must match exactly."""
        if not self.is_cut:
            return self.text
        kept = self.head.rpartition(b"\n")[0] + b"\n" + self.tail.partition(b"\n")[2]
        return kept.decode("utf-8", errors="replace")


class Collector:
    """Collects a stream; keeps its first `kept_max` bytes and its last 4 KiB."""

    __slots__ = ("_head", "_kept_max", "_tail", "total")

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._head = bytearray()
        self._tail = b""
        self.total = 0

    @property
    def is_full(self) -> bool:
        return self.total > self._kept_max

    def take(self, piece: bytes) -> None:
        self.total += len(piece)
        room = self._kept_max - len(self._head)
        if room > 0:
            self._head += piece[:room]
        if self.is_full:
            self._tail = (self._tail + piece[max(0, room) :])[-TAIL_BYTES:]

    def output(self) -> Output:
        return Output(head=bytes(self._head), tail=self._tail, is_cut=self.is_full)


def last_lines(mask: Mask, output: Output) -> str:
    """Return the last lines as one printable line. Leave out a line without its start: it may be half a secret."""
    kept = output.tail.partition(b"\n")[2] if output.is_cut else output.head
    masked = mask(kept.decode("utf-8", errors="replace"))
    lines = [printable(line).strip() for line in masked.splitlines()]
    return " | ".join(line[:LINE_CHARACTERS_MAX] for line in [line for line in lines if line][-LINES_MAX:])
