"""A clock that a test sets."""

from tests.fakes.samples import START


class FakeClock:
    """A clock that the test sets."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def now(self) -> float:
        return self.at
