"""Makes text safe and short to show: masks secrets, removes characters that move a cursor or begin a new line, and
names the first of many.

Text from a device, a program or a proxy must pass through `Mask` before it enters an error message.
"""

import base64
import json
import shlex
import unicodedata
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Final

_BRACKETS: Final = {"Ps": "[", "Pe": "]"}
"""Unicode's categories of opening and closing punctuation."""


def one_line(text: str) -> str:
    """Return the text on one line. Control and unprintable characters become escapes (`\\x1b`, `\\n`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def some(names: Sequence[str], most: int, *, between: str = ", ") -> str:
    """Return the first names of a list, and how many more there are."""
    left = len(names) - most
    return between.join(names[:most]) + (f" and {left} more" if left > 0 else "")


def claimed(name: str) -> str:
    """Return a name that a caller only claims, as one line without parentheses: in the journal they hold a proof.

    Parentheses of other scripts, which look the same, become brackets, too.
    """
    return "".join(_BRACKETS.get(unicodedata.category(char), char) for char in printable(name))


class Mask:
    """Replaces secrets in text, also in the encodings in which programs print them."""

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
        """Mask one more secret from now on."""
        if secret and secret not in self._forms:
            self._forms = sorted({*self._forms, *_forms_of(secret, "")}, key=len, reverse=True)

    def line(self, text: str, *, characters_max: int) -> str:
        """Return the start of a text as one printable line.

        Mask first, then cut: half a secret would not be recognised.
        """
        return printable(self(text)[:characters_max]).strip()


def printable(line: str) -> str:
    """Replace each run of control or unprintable characters by one blank."""
    return "".join(
        character if character.isprintable() else " "
        for before, character in zip(" " + line, line, strict=False)
        if character.isprintable() or before.isprintable()
    )


def _forms_of(secret: str, username: str) -> set[str]:
    """Return the secret as it is, and quoted for a shell, a URL, JSON, Python, HTTP basic authentication."""
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
