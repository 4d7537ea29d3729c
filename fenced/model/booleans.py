"""How fence agents spell true and false on their standard input, and where `true` or `false` of a device can be said so.

Knows words, no agent. One rule: what a person said is said to the agent, or refused; it is never dropped without a word.
"""

from typing import Final

YES: Final = frozenset({"1", "yes", "on", "true"})
NO: Final = frozenset({"0", "no", "off", "false"})
"""What the fencing library takes for true and false, in any case."""
_PAIRS: Final = (("1", "0"), ("true", "false"), ("yes", "no"), ("on", "off"))


def said(value: object) -> bool | None:
    """Whether a value is true or false, in words or numbers; None where it is neither."""
    text = str(value).strip().lower()
    return True if text in YES else False if text in NO else None


def spelled(flag: bool, *, default: object) -> str | None:
    """A boolean for a parameter that takes text, as its default spells them (`False` -> `True`, `False`).

    None where the default is no boolean: then nobody knows which word the agent would take.
    """
    text = "" if default is None else str(default).strip()
    pair = next((pair for pair in _PAIRS if text.lower() in pair), None)
    if pair is None:
        return None
    word = pair[0] if flag else pair[1]
    return word.upper() if text.isupper() else word.capitalize() if text[:1].isupper() else word
