"""How what is known of a host's fenceability and of its devices' trust changes with a record. Pure values.

Knows no rule by which a device is distrusted or trusted (`trust`), nor how a host is judged (`fenceable`).
"""

from fenced.core.durable.state import Fenceable, FenceableLevel, Followed, Reason, Trial
from fenced.model.names import DeviceName
from fenced.model.power import What


def judged(before: Fenceable | None, level: FenceableLevel, why: tuple[Reason, ...], at: float) -> Fenceable:
    """`since` counts from the last change of the level, not of its reasons."""
    is_same = before is not None and before.level is level
    return Fenceable(level=level, since=before.since if before is not None and is_same else at, why=why)


def drop_trials(trials: tuple[Trial, ...], devices: tuple[DeviceName, ...]) -> tuple[Trial, ...]:
    """What these devices had shown counts no more."""
    return tuple(trial for trial in trials if trial.device not in devices)


def switched(trials: tuple[Trial, ...], device: DeviceName, what: What) -> tuple[Trial, ...]:
    """A command of ours for a device that went dark with its host by itself: from now on it shows our will, not the host's."""
    if what is What.STATUS:
        return trials
    return tuple(
        trial
        for trial in trials
        if trial.device != device or trial.followed is Followed.LIT or (trial.is_switched and what is What.ON)
    )
