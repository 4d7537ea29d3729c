"""Trial looks: has a host that lives looked at as if it were silent, and keeps who could tell its death.

Two things are learnt before the first host dies. Where too few failure domains reach the host's network, the gate
`observers` would hold its fence. And an observer that sees a living host as silent is a false witness: with it, a dead
reporter alone may end in a fence. No gate reads a trial, but a sign of life counts whoever asked for it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from fenced.core import commands as c
from fenced.core.allowed import observing
from fenced.core.durable.replacing import replace
from fenced.core.events import LifeAsked, TrialLooked
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import valid_seconds
from fenced.core.heard.looks import Look, Saw
from fenced.core.heard.trials import Trial, TrialView
from fenced.core.reach import controls
from fenced.core.reach.observers import Panel
from fenced.core.suspected import looking
from fenced.core.work import HostWork
from fenced.model.inventory import Host
from fenced.model.names import HostName
from fenced.model.power import State
from fenced.model.text import some

CERTAIN_SILENCES: Final = 2
"""So many looks in a row make a false witness: one may lose its packets."""
NAMED_MAX: Final = 8
OLDER: Final = "did not say whether it reaches a control: install the version of the daemon there"


def is_tried(host: Host) -> bool:
    """Return whether trial looks are of use: the host may be fenced automatically one day, and can be looked at."""
    return bool(host.devices) and not host.is_own_machine and not host.is_protected and controls.is_looked_at(host)


def question(fleet: Fleet, name: HostName, now: float) -> c.AskLife | None:
    """Return what a suspicion of the host would ask now, and whom; None: it does not live, or is being worked on."""
    if name not in fleet.hosts or not is_tried(fleet.host(name)) or not _lives(fleet, name, now):
        return None
    panel = observing.panel(fleet, name, now)
    targets = observing.targets(fleet, name, now, panel)
    if not targets:
        return None
    return c.AskLife(
        host=name, observers=tuple(member.observer for member in panel.asked), targets=targets, is_trial=True
    )


def _lives(fleet: Fleet, name: HostName, now: float) -> bool:
    state = fleet.hosts[name]
    is_idle = state.operation is None and state.reading is None and state.maintenance is None
    is_heard = fleet.sights[name].heard_at is not None and not fleet.is_overdue(name, now)
    return is_idle and is_heard and state.state is State.HEALTHY


def looked(work: HostWork, event: TrialLooked) -> None:
    """Keep what was seen. One that comes late, of a host that is suspect by now, counts where it saw life."""
    if work.state.state is State.SUSPECT:
        if alive := tuple(look for look in event.looks if look.saw is Saw.ALIVE):
            answered = f"{alive[0].why or 'it answered'} from {alive[0].observer.name}"
            looking.life_asked(work, LifeAsked(host=work.name, answered=answered, looks=alive))
        return
    if not _lives(work.fleet, work.name, work.now):
        return
    panel = observing.panel(work.fleet, work.name, work.now)
    views = tuple(_view(work, look) for look in event.looks)
    able = {view.domain for view in views if not view.why_blind and view.domain in panel.voting}
    missing = tuple(dict.fromkeys(_missing(panel, views, able)))
    work.see(
        trial=Trial(
            at=work.now, boot=work.sight.boot, needed=panel.needed, able=tuple(sorted(able)), missing=missing,
            views=views,
        )
    )  # fmt: skip


def _view(work: HostWork, look: Look) -> TrialView:
    why = _why_blind(work.fleet, work.name, look, work.now)
    view = TrialView(
        observer=look.observer.name, domain=look.observer.domain, network=look.network, target=look.target, at=look.at,
        saw=look.saw, control=look.control, why_blind=why,
    )  # fmt: skip
    if look.saw is not Saw.SILENT or why:
        return view
    before = _before(work, look)
    if before is None:
        return replace(view, silences=1)
    return replace(view, silences=before.silences + 1, was_false=_is_false(work.fleet, work.name, before))


def _why_blind(fleet: Fleet, name: HostName, look: Look, now: float) -> str:
    """Return why the silence of this observer would not count over this network; "": it would."""
    if look.saw is Saw.UNKNOWN:
        return look.why or "could not look"
    if look.saw is Saw.ALIVE and not look.control and not look.control_fault:
        return OLDER
    why = observing.why_no_silence(fleet, name, replace(look, saw=Saw.SILENT), now)
    return f"{why} ({look.control_fault})" if why and look.control_fault and not look.control else why


def _before(work: HostWork, look: Look) -> TrialView | None:
    """Return what the observer saw there in the look before this one, of the same run of the host and with a beat in
    between: without one it may have been dead."""
    before, heard_at = work.sight.trial, work.sight.heard_at
    if before is None or before.boot != work.sight.boot or heard_at is None:
        return None
    same = (view for view in before.views if (view.observer, view.target) == (look.observer.name, look.target))
    return next((view for view in same if heard_at > view.at), None)


def _is_false(fleet: Fleet, name: HostName, view: TrialView) -> bool:
    """Return whether so many looks in a row saw the host silent, and it was heard of the same run after the last of
    them, later than a message may be late. What the looks before showed holds on meanwhile."""
    sight = fleet.sights[name]
    if view.silences < CERTAIN_SILENCES or view.was_false or sight.trial is None or sight.heard_at is None:
        return view.silences >= CERTAIN_SILENCES and view.was_false
    lived_at = sight.heard_at - fleet.host(name).settings.detection.late_message_seconds
    return sight.boot == sight.trial.boot and lived_at > view.at


def _missing(panel: Panel, views: Sequence[TrialView], able: set[str]) -> Iterator[str]:
    for member in panel.missing:
        yield f"{member.observer.words}: {member.why_missing}"
    for view in views:
        if view.domain in panel.voting and view.domain not in able:
            yield f"{view.words}: {view.why_blind}"


# -- what follows -----------------------------------------------------------------------------------------------------


def valid(fleet: Fleet, name: HostName, now: float) -> Trial | None:
    """Return the last trial look, as far as it is new enough and the host still has these addresses."""
    trial = fleet.sights[name].trial
    if trial is None or now - trial.at > valid_seconds(fleet.inventory):
        return None
    networks = fleet.host(name).networks
    return trial if all((view.network, view.target) in networks for view in trial.views) else None


def false_witnesses(fleet: Fleet, name: HostName, now: float) -> tuple[TrialView, ...]:
    """Return who sees the host silent while it lives."""
    trial = valid(fleet, name, now)
    return () if trial is None else tuple(view for view in trial.views if _is_false(fleet, name, view))


def is_held(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether the gate `observers` would hold the fence of a host that lives, as far as its last look shows."""
    trial, state = valid(fleet, name, now), fleet.hosts[name]
    is_well = state.state is State.HEALTHY and state.maintenance is None
    return trial is not None and not trial.is_enough and is_well and is_tried(fleet.host(name))


def warnings(fleet: Fleet, now: float) -> Iterator[str]:
    """Yield what a person should know before a host dies."""
    false: dict[str, list[HostName]] = {}
    held: list[HostName] = []
    for name in sorted(name for name, sight in fleet.sights.items() if sight.trial is not None):
        for who in dict.fromkeys(view.words for view in false_witnesses(fleet, name, now)):
            false.setdefault(who, []).append(name)
        if is_held(fleet, name, now):
            held.append(name)
    for who, names in false.items():
        yield (
            f"false witness: {who} sees hosts that live as silent, so a dead reporter alone may end in a fence: "
            f"{some(list(map(str, names)), NAMED_MAX)}"
        )
    if held:
        yield (
            f"the gate `observers` would hold the fence of {len(held)} hosts that live now (`fencectl readiness` says "
            f"why): {some(list(map(str, held)), NAMED_MAX)}"
        )
