"""The order of the check under random histories: reads that end well, badly or not at all, and reloads in between.

The model knows the paths, the running reads, and when each unit was last read. No removed path is read, no unit twice
at once or within its pause, and no failing path beyond their share. If nothing changes any more, every path gets its
turn.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fenced.engine.turns import JITTER_SHARE, Path, PathKey, Turns
from fenced.model.names import DeviceName, HostName, ProxyName, UnitId
from tests.properties.profiles import histories

KEYS: tuple[PathKey, ...] = tuple(
    (HostName(host), DeviceName("d"), ProxyName(proxy)) for host in ("h1", "h2", "h3", "h4") for proxy in ("p1", "p2")
)
UNITS = ("u1", "u2", "u3")
INTERVALS = (20.0, 60.0)
PAUSE_SECONDS = 5.0
READ_SECONDS = 2.0
AGAIN_SECONDS = 6.0
TINY_SECONDS = 1e-6

wirings = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(UNITS).map(UnitId), max_size=len(KEYS))


class Rounds(RuleBasedStateMachine):
    """`free_at`: when each unit may be read again; `early`: the earliest time for each path; `shares`:
    running as failing.
    """

    @initialize(wiring=wirings, failing_max=st.integers(1, 2))
    def begin(self, wiring: dict[PathKey, UnitId], failing_max: int) -> None:
        self.turns = Turns()
        self.turns.interval_seconds, self.turns.pause_seconds = INTERVALS[0], PAUSE_SECONDS
        self.turns.failing_max = failing_max
        self.now = 0.0
        self.wiring: dict[PathKey, UnitId] = {}
        self.reading: list[Path] = []
        self.shares: list[Path] = []
        self.free_at: dict[UnitId, float] = {}
        self.early: dict[PathKey, float] = {}
        self.reloaded(wiring, INTERVALS[0])

    # -- what happens -------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.0, 1.0, PAUSE_SECONDS, 15.0, 40.0)))
    def time_passes(self, seconds: float) -> None:
        """Begin all reads that are due."""
        self.now += seconds
        while (path := self.turns.next(self.now)) is not None:
            self._begun(path)

    @rule(seconds=st.sampled_from((0.0, 1.0, 15.0)))
    def one_is_begun(self, seconds: float) -> None:
        self.now += seconds
        path = self.turns.next(self.now)
        if path is not None:
            self._begun(path)

    @precondition(lambda self: self.reading)
    @rule(at=st.integers(0, 5), is_failing=st.booleans())
    def read_ends(self, at: int, is_failing: bool) -> None:
        self._ended(self.reading[at % len(self.reading)], is_failing=is_failing)

    @precondition(lambda self: self.reading)
    @rule(at=st.integers(0, 5), seconds=st.sampled_from((0.0, 15.0)))
    def read_makes_way(self, at: int, seconds: float) -> None:
        path = self.reading[at % len(self.reading)]
        self._over(path)
        self.turns.put_off(path, self.now + seconds)
        if not path.is_gone:
            self.early[path.key] = self.now + seconds

    @rule(wiring=wirings, interval=st.sampled_from(INTERVALS))
    def reloaded(self, wiring: dict[PathKey, UnitId], interval: float) -> None:
        """A path that goes over another unit from now on is a new one, and may have its turn at any time."""
        self.turns.interval_seconds = interval
        self.turns.take(wiring.items(), self.now)
        self.early = {key: at for key, at in self.early.items() if wiring.get(key) == self.wiring.get(key)}
        latest = self.now + (1 + JITTER_SHARE) * interval
        self.early = {key: at for key, at in self.early.items() if at <= latest}
        self.wiring = wiring
        assert len(self.turns) == len(wiring)

    @rule(data=st.data())
    def reloaded_a_little(self, data: st.DataObject) -> None:
        """One path is removed, or gets another unit."""
        changed = dict(self.wiring)
        key = data.draw(st.sampled_from(KEYS))
        unit = data.draw(st.sampled_from((None, *UNITS)))
        changed.pop(key, None)
        if unit is not None:
            changed[key] = UnitId(unit)
        self.reloaded(changed, self.turns.interval_seconds)

    @rule(failing_max=st.integers(1, 3))
    def share_is_changed(self, failing_max: int) -> None:
        self.turns.failing_max = failing_max

    # -- what must hold -----------------------------------------------------------------------------------------------

    def _begun(self, path: Path) -> None:
        assert self.wiring.get(path.key) == path.unit, f"{path.key} is not there"
        assert not path.is_gone
        assert path.unit not in {other.unit for other in self.reading}, f"{path.unit} is read twice at once"
        assert self.now >= self.free_at.get(path.unit, 0.0) - TINY_SECONDS, f"{path.unit} has no pause"
        assert self.now >= self.early.get(path.key, 0.0) - TINY_SECONDS, f"{path.key} is read before its round"
        self.reading.append(path)
        if path.failures:
            self.shares.append(path)
            assert len(self.shares) <= self.turns.failing_max, "more failing paths than their share"

    def _over(self, path: Path) -> None:
        self.reading = [other for other in self.reading if other is not path]
        self.shares = [other for other in self.shares if other is not path]

    def _ended(self, path: Path, *, is_failing: bool) -> None:
        self._over(path)
        path.failures = path.failures + 1 if is_failing else 0
        again_at = self.now + AGAIN_SECONDS if path.failures == 1 else None
        self.turns.ended(path, self.now, again_at=again_at)
        self.free_at[path.unit] = self.now + PAUSE_SECONDS
        if not path.is_gone:
            self.early[path.key] = again_at or self.now + (1 - JITTER_SHARE / 2) * self.turns.interval_seconds

    def teardown(self) -> None:
        """If each read takes its time and nothing gets better, every path is read within about one round."""
        if not hasattr(self, "turns"):
            return
        failing = {path.key for path in self.reading if path.failures}
        ends = [(self.now + READ_SECONDS, path) for path in self.reading]
        rounds = 2 * self.turns.interval_seconds + 2 * len(KEYS) * (PAUSE_SECONDS + READ_SECONDS)
        left, until = set(self.wiring), self.now + rounds
        while left:
            while (path := self.turns.next(self.now)) is not None:
                self._begun(path)
                left.discard(path.key)
                ends.append((self.now + READ_SECONDS, path))
            ahead = [at for at, _ in ends] + ([at] if (at := self.turns.next_at()) is not None else [])
            assert ahead, f"nobody looks at {left} again"
            self.now = max(self.now, min(ahead))
            assert self.now <= until, f"{left} had no turn"
            for entry in [entry for entry in ends if entry[0] <= self.now]:
                ends.remove(entry)
                self._ended(entry[1], is_failing=entry[1].failures > 0 or entry[1].key in failing)


TestRounds = Rounds.TestCase
TestRounds.settings = histories(60, 40)
