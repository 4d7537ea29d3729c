"""The answer to a request of an operator or program, and its text, which is stored with requests of the bus."""

from dataclasses import dataclass
from typing import Final

from fenced.model.names import OperationId

_ACCEPTED: Final = "accepted"
_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`operation`: the one that carries out the request; "": none is needed. `warnings`: for the requester. `hosts`:
    sleepers that are woken; `short`: how many more were asked for and can't be (S24)."""

    operation: OperationId
    warnings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    short: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBy:
    """A rule refused the request."""

    rule: str
    why: str


Answer = Accepted | RefusedBy


def to_text(answer: Answer) -> str:
    """Return the stored text: `accepted OPERATION`, `accepted - SHORT HOST,HOST` or `refused RULE: WHY`. Warnings are
    not stored."""
    match answer:
        case Accepted() if answer.hosts or answer.short:
            return f"{_ACCEPTED} - {answer.short} {','.join(answer.hosts)}".strip()
        case Accepted():
            return f"{_ACCEPTED} {answer.operation}".strip()
        case RefusedBy():
            return f"{_REFUSED} {answer.rule}: {answer.why}"


def from_text(text: str) -> Answer:
    """Return the answer of a stored text. Any text that does not say `accepted` is a refusal."""
    verdict, _, rest = text.partition(" ")
    if verdict == _ACCEPTED and rest.startswith("- "):
        short, _, hosts = rest[2:].partition(" ")
        return Accepted(operation=OperationId(""), hosts=tuple(filter(None, hosts.split(","))), short=int(short))
    if verdict == _ACCEPTED:
        return Accepted(operation=OperationId(rest))
    rule, _, why = rest.partition(": ")
    return RefusedBy(rule=rule, why=why)
