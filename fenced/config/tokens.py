"""Reads the API's tokens from a file, one line each. No mistake quotes a token.

    ROLE:TOKEN                  ROLE is viewer, operator or admin; the journal shows the role and a claimed name
    ROLE@PERSON:TOKEN           the journal shows the person
    reporter=HOST:TOKEN         may only report the health of that host

`,until=2027-01-31` before the colon ends a token with that day, in UTC. Two lines of one person are both valid, which
is how a token is exchanged.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fenced.config.configuration import Tokens
from fenced.config.mistakes import MASK, Mistakes, Where
from fenced.config.secret_sources import SecretReader
from fenced.model.api_tokens import REPORTER, ROLES, ApiToken
from fenced.model.inventory import Secret

TOKEN_CHARS_MIN: Final = 16
TOKEN_CHARS_MAX: Final = 4096
TOKENS_BYTES_MAX: Final = 8 * 1024 * 1024
"""A fleet has a reporter's token for each host."""
EXPIRING_SECONDS: Final = 14 * 86400.0
"""How long before its end a token is a warning."""

_OWNER: Final = re.compile(
    r"(?:(?P<role>viewer|operator|admin)(?:@(?P<person>[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}))?"
    r"|reporter=(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252}))"
    r"(?:,until=(?P<until>[0-9]{4}-[0-9]{2}-[0-9]{2}))?",
    re.ASCII,
)
_FORM: Final = (
    f"must be ROLE:token, ROLE@person:token or {REPORTER}=HOST:token, ROLE one of {', '.join(ROLES)}; before the colon "
    "also ,until=2027-01-31"
)


def read_tokens(path: Path, where: Where, secrets: SecretReader, mistakes: Mistakes, *, now: float) -> Tokens:
    """Return the tokens in the order of the file; skip empty lines and lines that begin with #. `now`: wall time."""
    text = secrets.text(str(path), where, bytes_max=TOKENS_BYTES_MAX)
    if text is None:
        return ()
    tokens: list[ApiToken] = []
    known: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = Where(str(path), f"line {number}")
        try:
            token = _token(line.strip(), known)
        except ValueError as exc:
            mistakes.error(place, str(exc), value=MASK, unit="role:token")
            continue
        known.add(token.secret.reveal())
        if len(token.secret.reveal()) < TOKEN_CHARS_MIN:
            mistakes.warning(
                place,
                f"a token shorter than {TOKEN_CHARS_MIN} characters can be guessed: make a longer one",
                value=MASK,
            )
        tokens.append(token)
        _warn_of_end(token, place, mistakes, now)
    if not tokens:
        mistakes.error(where, "holds no token: add lines role:token", value=str(path), unit="file")
    return tuple(tokens)


def _token(line: str, known: Collection[str]) -> ApiToken:
    """`known`: the tokens of earlier lines. Raises ValueError."""
    owner, _, token = line.partition(":")
    found = _OWNER.fullmatch(owner)
    if found is None:
        raise ValueError(_FORM)
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("a token is printable ASCII without spaces")
    if len(token) > TOKEN_CHARS_MAX:
        raise ValueError(f"a token has at most {TOKEN_CHARS_MAX} characters")
    if token in known:
        raise ValueError("the token is given twice")
    return ApiToken(
        role=found["role"] or REPORTER,
        person=found["person"] or "",
        reports=found["host"] or "",
        until=None if found["until"] is None else _end_of(found["until"]),
        secret=Secret(token),
    )


def _end_of(day: str) -> float:
    """Return the end of this day in UTC. Raises ValueError."""
    try:
        return (datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise ValueError("until= needs a day of the calendar, as until=2027-01-31") from exc


def _warn_of_end(token: ApiToken, place: Where, mistakes: Mistakes, now: float) -> None:
    if token.until is None or token.until > now + EXPIRING_SECONDS:
        return
    last = f"{datetime.fromtimestamp(token.until - 1, UTC):%Y-%m-%d}"
    if token.until <= now:
        why = f"the token of {token.owner} expired with {last}: it is refused; remove the line"
    else:
        why = f"the token of {token.owner} expires with {last}: add a line with its successor, then remove this one"
    mistakes.warning(place, why, value=MASK)
