"""What a program printed: bounded, and without secrets where it leaves for people.

Knows bytes and secrets, not programs. One rule: text of a program reaches an error only through `Mask`.
"""

import base64
import json
import shlex
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LINES_MAX: Final = 3
LINE_CHARACTERS_MAX: Final = 240
TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One stream of a program: its first bytes, and its last where it said more than is kept."""

    head: bytes = b""
    tail: bytes = b""
    is_cut: bool = False

    def __repr__(self) -> str:
        return f"Output({len(self.head) + len(self.tail)} bytes)"

    @property
    def is_empty(self) -> bool:
        """Whether not a byte was said."""
        return not self.head and not self.tail

    @property
    def text(self) -> str:
        """Everything that is kept. For looking into, not for showing."""
        joined = self.head + b"\n" + self.tail if self.is_cut else self.head
        return joined.decode("utf-8", errors="replace")

    @property
    def whole_lines(self) -> str:
        """Only the lines of which nothing is missing. For what must have been said exactly."""
        if not self.is_cut:
            return self.text
        kept = self.head.rpartition(b"\n")[0] + b"\n" + self.tail.partition(b"\n")[2]
        return kept.decode("utf-8", errors="replace")


class Collector:
    """Takes a stream piece by piece; keeps `kept_max` bytes from its start and the last 4 KiB."""

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


class Mask:
    """Replaces secrets in text, also in the forms in which programs like to print them."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[str], *, username: str = "") -> None:
        forms: set[str] = set()
        for secret in secrets:
            if secret:
                forms.update(_forms_of(secret, username))
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def hide(self, secret: str) -> None:
        """From now on one secret more."""
        if secret and secret not in self._forms:
            self._forms = sorted({*self._forms, *_forms_of(secret, "")}, key=len, reverse=True)

    def line(self, text: str, *, characters_max: int) -> str:
        """The start of a text as one printable line. It is cut after it was masked: a half of a secret is in no form."""
        return _printable(self(text)[:characters_max]).strip()

    def last_lines(self, output: Output) -> str:
        """The last lines as one printable line. A line whose start is lost is left out: it may be half a secret."""
        kept = output.tail.partition(b"\n")[2] if output.is_cut else output.head
        masked = self(kept.decode("utf-8", errors="replace"))
        lines = [_printable(line).strip() for line in masked.splitlines()]
        return " | ".join(line[:LINE_CHARACTERS_MAX] for line in [line for line in lines if line][-LINES_MAX:])


def _printable(line: str) -> str:
    """Each run of what a terminal would obey, or can't show, becomes one blank."""
    return "".join(
        character if character.isprintable() else " "
        for before, character in zip(" " + line, line, strict=False)
        if character.isprintable() or before.isprintable()
    )


def _forms_of(secret: str, username: str) -> set[str]:
    """The secret as it is, and quoted for a shell, a URL, JSON, Python, HTTP basic authentication."""
    return {
        secret,
        shlex.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        _base64(secret),
        _base64(f"{username}:{secret}"),
        secret.encode().hex(),
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
