"""An attacker between a driver and its device, who sees, keeps, changes and forges datagrams but has no key.

Knows no protocol; the test forges. The deeds are drawn, and applied in the order of the answers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hypothesis import strategies as st

ANSWERED_SECONDS: Final = 0.01
FLOOD_DATAGRAMS: Final = 40
"""More than a driver keeps unread."""
KINDS: Final = (
    "pass", "lose", "twice", "flip", "cut", "overwrite", "append", "rubbish", "replay", "another's", "refuse", "flood",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What happens to one answer on its way: `where` and `what` are a position and bytes for it, `seconds` a delay."""

    kind: str
    where: int = 0
    what: bytes = b"x"
    seconds: float = 0.0


PASS: Final = Deed(kind="pass")
Forge = Callable[[Deed, bytes, bytes], Sequence[bytes]]
"""From an answer and its request: what arrives instead of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """From answer number `begins` on, one deed for one answer each; then the line is good, unless `is_endless`.

    `slow_seconds`: how long each answer takes from then on. All drivers repeat a request after half a second.
    """

    deeds: Sequence[Deed] = ()
    begins: int = 0
    is_endless: bool = False
    slow_seconds: float = ANSWERED_SECONDS

    def deed(self, number: int) -> tuple[Deed, float]:
        """Return what happens to that answer, and when it arrives."""
        place = number - self.begins
        if place < 0:
            return PASS, ANSWERED_SECONDS
        if not self.deeds or (place >= len(self.deeds) and not self.is_endless):
            return PASS, self.slow_seconds
        deed = self.deeds[place % len(self.deeds)]
        return deed, self.slow_seconds + deed.seconds


def plans(*forgeries: str) -> st.SearchStrategy[Plan]:
    """Draw any plan; `forgeries` are the kinds that the test's `Forge` knows."""
    deeds = st.builds(
        Deed,
        kind=st.sampled_from(KINDS) | st.sampled_from(forgeries),
        where=st.integers(0, 160),
        what=st.binary(min_size=1, max_size=12),
        seconds=st.sampled_from([0.0, 0.0, 0.3, 0.6, 2.0]),
    )
    return st.builds(
        Plan,
        deeds=st.lists(deeds, min_size=1, max_size=8),
        begins=st.integers(0, 6),
        is_endless=st.booleans(),
        slow_seconds=st.sampled_from([ANSWERED_SECONDS, ANSWERED_SECONDS, 0.6, 1.2]),
    )


@dataclass(slots=True, kw_only=True)
class Line:
    """A device behind an attacker. `seen`: its earlier answers; `others`: another device's, which are no secret.

    `delivered`: what reached the driver; `sent`: how often the driver sent something.
    """

    device: Callable[[bytes], Sequence[bytes]]
    forge: Forge
    others: Sequence[bytes] = (b"x",)
    seen: list[bytes] = field(default_factory=list)
    plan: Plan = Plan()
    delivered: list[bytes] = field(default_factory=list)
    sent: int = 0
    _number: int = 0

    def __call__(self, question: bytes) -> Iterable[tuple[float, bytes | OSError]]:
        self.sent += 1
        out: list[tuple[float, bytes | OSError]] = []
        for answer in self.device(question):
            deed, seconds = self.plan.deed(self._number)
            self._number += 1
            arriving = self._done(deed, answer, question)
            out += [(seconds, each) for each in arriving]
            self.delivered += [each for each in arriving if isinstance(each, bytes)]
            self.seen.append(answer)
        return out

    def _done(self, deed: Deed, answer: bytes, question: bytes) -> Sequence[bytes | OSError]:
        at, what = deed.where % len(answer), deed.what
        match deed.kind:
            case "pass":
                return [answer]
            case "lose":
                return []
            case "twice":
                return [answer, answer]
            case "flip":
                return [answer[:at] + bytes((answer[at] ^ (what[0] or 1),)) + answer[at + 1 :]]
            case "cut":
                return [answer[:at]]
            case "overwrite":
                return [answer[:at] + what + answer[at + len(what) :], answer]
            case "append":
                return [answer + what * 100]
            case "rubbish":
                return [what, answer[:at] + what * 20, answer]
            case "replay":
                return [*self.seen[-1 - deed.where % 8 :][:2], answer]
            case "another's":
                return [self.others[deed.where % len(self.others)], answer]
            case "refuse":
                return [ConnectionRefusedError(111, "refused"), answer]
            case "flood":
                return [what] * FLOOD_DATAGRAMS + [answer]
            case _:
                return self.forge(deed, answer, question)
