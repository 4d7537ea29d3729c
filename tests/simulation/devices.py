"""Faults of hosts and their power devices.

The words for a device that lies differ from those for one that is only broken,
because the checker distinguishes between them.
"""

from tests.simulation.draft import MENDED, TROUBLE_SECONDS, WARM_SECONDS, Draft
from tests.world.manners import Manner

BROKEN = ("fails", "unreachable", "sticks", "sticks in between", "loses answers", "slow 4", "slow 15", "flaps",
          "refuses when already so", "stays off")  # fmt: skip
LIES = ("says off", "says on", "says unknown", "reads off 10 early", "is silently dead")


def certain_death(draft: Draft) -> None:
    """A host that is silent for longer than any grace: a scenario without an operation proves little.

    If no host is fenced automatically, a person requests it.
    """
    spared = {draft.rack.own_machine, *draft.rack.protected}
    host = draft.dice.choice([name for name in draft.rack.hosts if name not in spared])
    start = WARM_SECONDS + draft.dice.uniform(0.0, TROUBLE_SECONDS / 3)
    draft.faults += 1
    if draft.dice.random() < 0.9:
        draft.at(start, f"{host} dies")
        draft.dead.append(host)
    else:
        draft.at(start, f"{host} hangs")
        draft.at(MENDED + 60.0, f"{host} wakes")
    if draft.rack.settings.get("host.automatic") is False:
        draft.at(
            start + draft.dice.uniform(25.0, 40.0), f"person forces {draft.dice.choice(('off', 'restart'))} {host}"
        )


def death(draft: Draft) -> None:
    """A host that can't be heard any more: dead, hung, or only mute."""
    host, start, kind = draft.host(), draft.moment(), draft.dice.random()
    if kind < 0.6:
        draft.at(start, f"{host} dies")
        draft.dead.append(host)
        draft.faults += 1
    elif kind < 0.8:
        draft.passing(f"{host} hangs", f"{host} wakes")
    elif kind < 0.9:
        draft.passing(f"{host} falls mute", f"{host} speaks")
    else:
        draft.passing(f"{host} is cut off", f"{host} is back")


def words(draft: Draft) -> None:
    """A host reports something, or reboots on its own."""
    said = draft.dice.choice(("says failing", "last will", "reboots"))
    draft.once(f"{draft.host()} {said}")


def manner(draft: Draft) -> None:
    """Its reporter sends messages in the format of another program, from now on or for a while."""
    host, how = draft.host(), draft.dice.choice([manner.value for manner in Manner if manner is not Manner.PLAINLY])
    if draft.dice.random() < 0.6:
        draft.once(f"{host} speaks {how}")
    else:
        draft.passing(f"{host} speaks {how}", f"{host} speaks plainly")


def mains(draft: Draft) -> None:
    """A host's feed fails, and its BMC with it; the firmware switches the host on some time after the feed is back."""
    host, seconds = draft.host(), draft.dice.choice((1, 10, 30))
    draft.passing(f"{host} loses mains", f"{host} gets mains, on after {seconds}", most=60.0)


def broken(draft: Draft) -> None:
    """It does not do what it should, openly or silently."""
    what = draft.dice.choice(BROKEN)
    _passing(draft, what)


def slow_to_act(draft: Draft) -> None:
    """It acts as late as permitted, and shows that or not."""
    seconds = draft.rack.settle_seconds
    if seconds > 0.0:
        what = draft.dice.choice((f"acts {seconds:g} late", f"is {seconds:g} on its way"))
        _passing(draft, what)


def unreachable_through(draft: Draft) -> None:
    """One machine can't reach it, or gets no answer from it; the others can."""
    what = draft.dice.choice(("unreachable", "loses answers"))
    _passing(draft, f"{what} through {draft.dice.choice((*draft.rack.proxies, 'engine'))}")


def unasked(draft: Draft) -> None:
    """Probes from the daemon do not reach the host; its messages arrive, or they don't either."""
    host = draft.host()
    draft.passing(f"{host} can't be asked", f"{host} can be asked")
    if draft.dice.random() < 0.3:
        draft.passing(f"{host} falls mute", f"{host} speaks")


def wrong_machine(draft: Draft) -> None:
    """Another machine answers at its address, for every proxy or through one."""
    through = draft.proxy() if draft.dice.random() < 0.5 else None
    _passing(draft, f"answers for another machine{f' through {through}' if through else ''}")


def restart(draft: Draft) -> None:
    """It reboots and reads OFF before it knows its host, for less time than configured, or reports
    that it is not ready.
    """
    plug, settles = _plug(draft), draft.rack.settle_after_return_seconds
    if settles > 0.0 and draft.rack.settings.get("check.interval_seconds"):
        # Away for longer than a round of the check: an absence that is never noticed can't be taken into account.
        draft.once(f"plug {plug} restarts away 70 starting {settles / 2:g}")
    else:
        draft.once(f"plug {plug} restarts not ready {draft.dice.choice((5, 20))}")


def lie(draft: Draft) -> None:
    """Its readings are wrong."""
    what = draft.dice.choice(LIES)
    _passing(draft, what)


def another_unit(draft: Draft) -> None:
    """Through one path its address leads to another unit, of another host or of an unmanaged machine."""
    _passing(draft, astray(draft))


def astray(draft: Draft) -> str:
    """Return the words for a stray unit on one path, usually the best."""
    is_best = draft.dice.random() < 0.7
    through = "engine" if is_best and draft.rack.reach[0] == "engine" else draft.proxy() or "engine"
    if draft.dice.random() < 0.25:
        return f"is that of {draft.host()} through {through}"
    return f"is another unit {draft.dice.choice(('off', 'off', 'on'))} through {through}"


def wrong_label(draft: Draft) -> None:
    """It feeds another host, or an unknown machine; that is never mended."""
    host, device, other = draft.host(), draft.device(), draft.host()
    if host == other or draft.dice.random() < 0.3:
        draft.once(f"plug {host} {device} feeds another machine")
    else:
        draft.once(f"plug {host} {device} is swapped with {other}")


def _plug(draft: Draft) -> str:
    return f"{draft.host()} {draft.device()}"


def _passing(draft: Draft, what: str) -> None:
    plug = _plug(draft)
    draft.passing(f"plug {plug} {what}", f"plug {plug} works")
