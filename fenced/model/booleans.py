"""Converts booleans to and from the words that fence agents accept on standard input.

Knows the words, not the agents. Callers must reject a boolean that can't be spelled for an agent; dropping it would
ignore what the user configured.
"""

from typing import Final

YES: Final = frozenset({"1", "yes", "on", "true"})
NO: Final = frozenset({"0", "no", "off", "false"})
"""Words that the fencing library reads as true and false, in any case."""
_PAIRS: Final = (("1", "0"), ("true", "false"), ("yes", "no"), ("on", "off"))


def said(value: object) -> bool | None:
    """Return the boolean that a word or number means, or None if it means neither."""
    text = str(value).strip().lower()
    return True if text in YES else False if text in NO else None


def spelled(flag: bool, *, default: object) -> str | None:
    """Spell a boolean for a text parameter, in the style of the parameter's default (`False` -> `True`, `False`).

    Return None if the default is no boolean: then it is unknown which word the agent accepts.
    """
    text = "" if default is None else str(default).strip()
    pair = next((pair for pair in _PAIRS if text.lower() in pair), None)
    if pair is None:
        return None
    word = pair[0] if flag else pair[1]
    return word.upper() if text.isupper() else word.capitalize() if text[:1].isupper() else word
