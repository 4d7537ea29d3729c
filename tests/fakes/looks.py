"""Answers an AskLife in place of the observers: each looks at each target, and sees what the test says."""

from collections.abc import Callable

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.heard.looks import Look, Observer, Saw, Target

Sees = Callable[[Observer, Target], Saw | None]
"""What an observer sees of a target; None: it does not answer."""


def reachable(observer: Observer, target: Target) -> str:
    """Return the first control that is not the observer's own machine; "": there is none."""
    return next((control for control in target.controls if control not in observer.own), "")


def answer(command: c.AskLife, at: float, *, answered: str | None = None, sees: Sees | None = None) -> e.LifeAsked:
    """Return the answer of all observers at that moment. `answered`: what the host answers, to each of them; without
    it, `sees` says what each sees, or all of them see it silent."""
    looks = []
    for observer in command.observers:
        for target in command.targets:
            saw: Saw | None = Saw.ALIVE if answered is not None else Saw.SILENT
            saw = sees(observer, target) if sees is not None and answered is None else saw
            if saw is not None:
                why = answered or ("tcp 22" if saw is Saw.ALIVE else "")
                looks.append(look(observer, target, saw, at, why=why, needs_control=command.is_trial))
    alive = next((it.why for it in looks if it.saw is Saw.ALIVE), None)
    return e.LifeAsked(
        host=command.host, answered=answered or alive, was_asked=bool(looks) or not command.targets, looks=tuple(looks)
    )


def look(
    observer: Observer, target: Target, saw: Saw, at: float, *, why: str = "", needs_control: bool = False
) -> Look:
    control = reachable(observer, target) if saw is not Saw.ALIVE or needs_control else ""
    milliseconds = 1.0 if saw is Saw.ALIVE else None
    return Look(
        observer=observer, network=target.network, target=target.address, saw=saw, at=at, control=control,
        milliseconds=milliseconds, why=why,
        control_fault="no control answered" if needs_control and not control else "",
    )  # fmt: skip
