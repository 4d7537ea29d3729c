"""Text of somebody else, made fit to be shown: without our secrets, and unable to move a cursor or begin a line of its own.

Knows text, not who wrote it. One rule: what a device, a program or a proxy says reaches an error only through `Mask`.
"""

import base64
import json
import shlex
import urllib.parse
from collections.abc import Iterable


def one_line(text: str) -> str:
    """The text on one line: each character that a terminal would obey, or can't show, as its escape (`\\x1b`, `\\n`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


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
        return printable(self(text)[:characters_max]).strip()


def printable(line: str) -> str:
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
