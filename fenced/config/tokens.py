"""Reads the API's tokens from a file of lines `role:token`. No mistake quotes a line."""

from pathlib import Path
from typing import Final

from fenced.config.configuration import Tokens
from fenced.config.mistakes import MASK, Mistakes, Where
from fenced.config.secret_sources import SecretReader
from fenced.model.inventory import Secret

ROLES: Final = ("viewer", "operator", "admin")
TOKEN_CHARS_MIN: Final = 16
TOKEN_CHARS_MAX: Final = 4096


def read_tokens(path: Path, where: Where, secrets: SecretReader, mistakes: Mistakes) -> Tokens:
    """Return the tokens in the order of the file; skip empty lines and lines that begin with #."""
    text = secrets.text(str(path), where)
    if text is None:
        return ()
    tokens: list[tuple[str, Secret]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = Where(str(path), f"line {number}")
        role, _, token = line.strip().partition(":")
        why = _why_wrong(role, token)
        if why is None and any(Secret(token) == other for _, other in tokens):
            why = "the token is given twice"
        if why is not None:
            mistakes.error(place, why, value=MASK, unit="role:token")
            continue
        if len(token) < TOKEN_CHARS_MIN:
            mistakes.warning(
                place,
                f"a token shorter than {TOKEN_CHARS_MIN} characters can be guessed: make a longer one",
                value=MASK,
            )
        tokens.append((role, Secret(token)))
    if not tokens:
        mistakes.error(where, "holds no token: add lines role:token", value=str(path), unit="file")
    return tuple(tokens)


def _why_wrong(role: str, token: str) -> str | None:
    if role not in ROLES:
        return f"must be role:token, role one of {', '.join(ROLES)}"
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        return "a token is printable ASCII without spaces"
    if len(token) > TOKEN_CHARS_MAX:
        return f"a token has at most {TOKEN_CHARS_MAX} characters"
    return None
