"""Says why something that is tried again and again does not work: once for each reason, not once for each try."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Refusal:
    """`tell`: logs the reason, as `error`. `text`: the present reason; "" while it works."""

    tell: Callable[..., Any]
    text: str = ""

    def met(self, exc: Exception) -> None:
        """Note that a try failed. A timeout has no text of its own."""
        said = str(exc) or "no answer"
        if said != self.text:
            self.tell(error=said)
        self.text = said

    def over(self) -> None:
        """Note that a try worked."""
        self.text = ""
