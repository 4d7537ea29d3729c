"""What people do to hosts and to the daemon: unwise things at the worst time.

A person ends what a person began, at the end of the trouble at the latest.
"""

from dataclasses import replace

from tests.simulation.draft import MENDED, WARM_SECONDS, Draft

UNDONE = {"maintains": "person hands back {host}", "disarms": "person arms", "pauses": "person resumes"}


def crash(draft: Draft) -> None:
    """kill -9, and a start soon or late."""
    start = draft.moment()
    draft.at(start, "daemon crashes")
    draft.at(start + draft.dice.choice((0.1, 1.0, 5.0, 30.0)), "daemon starts")
    draft.faults += 1


def person(draft: Draft) -> None:
    """A person makes a request."""
    host = draft.host()
    words = draft.dice.choice(
        (
            f"person off {host}", f"person forces off {host}", f"person restart {host}",
            f"person forces restart {host}",
            f"person on {host}", f"person cancels {host}", f"person maintains {host}", f"person status {host}",
            f"person confirms {host} off", "person disarms", "person pauses *",
        )
    )  # fmt: skip
    start = draft.moment()
    draft.at(start, words)
    end = draft.until(start)
    for word, back in UNDONE.items():
        if word in words:
            draft.at(end, back.format(host=host))
    draft.faults += 1


def saving(draft: Draft) -> None:
    """A person switches several hosts off and leaves them off: no reason not to fence another one that dies."""
    start = draft.moment()
    living = [name for name in draft.rack.hosts if name not in draft.dead]
    for number, host in enumerate(draft.dice.sample(living, min(len(living), draft.dice.choice((2, 3, 3))))):
        draft.at(start + number, f"person forces off {host}")
    draft.faults += 1


def drills(draft: Draft) -> None:
    """People drill a spare host: once it is heard, at some moment of the trouble, and when all is mended. Its plug may
    be another host's."""
    dice = draft.dice
    spare = dice.choice([name for name in draft.rack.hosts if name != draft.rack.own_machine])
    draft.rack = replace(draft.rack, drills=(spare,))
    if dice.random() < 0.3:
        other = dice.choice([name for name in draft.rack.hosts if name != spare])
        what = dice.choice(("feeds another machine", f"is swapped with {other}"))
        draft.at(1.0, f"plug {spare} {draft.device()} {what}")
    begins = WARM_SECONDS + dice.choice((0.0, 4.0))
    draft.at(begins, f"person drills {spare}")
    draft.at(draft.moment(), f"person {dice.choice(('drills', 'forces a drill of'))} {spare}")
    if dice.random() < 0.3:
        draft.at(draft.moment(), f"person {dice.choice(('off', 'restart', 'cancels'))} {spare}")
    draft.at(MENDED + dice.choice((5.0, 30.0)), f"person drills {spare}")
    if dice.random() < 0.5:
        _mislead(draft, spare, begins)


def _mislead(draft: Draft, spare: str, begins: float) -> None:
    """The plug feeds another machine, and something else than the OFF silences the spare; or a person interferes."""
    dice, others = draft.dice, [name for name in draft.rack.hosts if name != draft.rack.own_machine]
    draft.at(1.0, f"plug {spare} {draft.device()} feeds another machine")
    match dice.choice(("stops", "switch", "joins", "mute", "late")):
        case "stops":
            draft.at(begins + dice.choice((0.0, 2.0)), f"{spare} says stopping")
        case "switch":  # the plug feeds the switch of the rack
            cut = dice.sample(others, max(len(others) - 2, 1))
            for name in sorted({*cut, spare}):
                draft.at(begins + 1.0, f"{name} is cut off")
                draft.at(begins + 40.0, f"{name} is back")
        case "joins":
            draft.at(begins + dice.choice((0.5, 3.0, 12.0)), f"person {dice.choice(('off', 'restart'))} {spare}")
        case "late":
            draft.at(begins - 5.0, f"post {spare} delays up to 8")
            draft.at(begins + 40.0, "post works")
        case _:
            draft.at(begins + 3.0, f"{spare} falls mute")
    draft.faults += 1


def meddler(draft: Draft) -> None:
    """A person goes to the rack and switches a plug."""
    draft.once(f"plug {draft.host()} {draft.device()} turned {draft.dice.choice(('on', 'off'))}")
