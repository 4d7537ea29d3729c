"""The answer to a request of an operator or program, and its text, which is stored with requests of the bus."""

from dataclasses import dataclass
from typing import Final

from fenced.model.names import OperationId

_ACCEPTED: Final = "accepted"
_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`operation`: the one that carries out the request; "": none is needed. `warnings`: for the requester."""

    operation: OperationId
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBy:
    """A rule refused the request."""

    rule: str
    why: str


Answer = Accepted | RefusedBy


def to_text(answer: Answer) -> str:
    """Return the stored text: `accepted OPERATION` or `refused RULE: WHY`. Warnings are not stored."""
    match answer:
        case Accepted():
            return f"{_ACCEPTED} {answer.operation}".strip()
        case RefusedBy():
            return f"{_REFUSED} {answer.rule}: {answer.why}"


def from_text(text: str) -> Answer:
    """Return the answer of a stored text. Any text that does not say `accepted` is a refusal."""
    verdict, _, rest = text.partition(" ")
    if verdict == _ACCEPTED:
        return Accepted(operation=OperationId(rest))
    rule, _, why = rest.partition(": ")
    return RefusedBy(rule=rule, why=why)
