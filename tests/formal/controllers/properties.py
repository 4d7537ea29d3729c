"""What must hold with several controllers: of each step, and of every run (it can always come to a good end).

Compares results with the truth, and never asks whether a guard was obeyed.
"""

from tests.formal.controllers.model import (
    NOBODY,
    Action,
    Command,
    Does,
    Message,
    Stage,
    Term,
    World,
    is_below,
)

NOT_OURS = frozenset({Does.COMMAND, Does.POST, Does.CUT, Does.PROMOTE})
"""Steps that can't be relied on: a good end must be reachable without them."""


def broken(before: World, action: Action, world: World) -> str | None:
    """Return the promise that this step breaks."""
    return _of_lease(before, action, world) or _of_command(before, action) or _of_state(before, action, world)


def _of_lease(before: World, action: Action, world: World) -> str | None:
    match action.does:
        case Does.TAKE:
            taken = world.controllers[-1].term
            if any(_was_seen(taken, it) for it in (*_terms(before), *_epochs(before))):
                return "S22: an epoch is drawn that something saw before"
        case Does.COMMIT | Does.COMMAND | Does.FENCE | Does.FREE:
            who = before.running.who if action.does is Does.COMMIT and before.running else action.who
            is_appended = action.does is Does.COMMIT or world.running is None
            if is_appended and not action.is_elsewhere and before.store.term != who:
                return "S20: a controller appends under the epoch of another one, or a lower one"
        case Does.CHECK if any(it.taking > action.who.taking for it in _terms(before)):
            return "S20: a controller sends a command after another one took the lease"
        case Does.ANNOUNCE | Does.POST if action.who != before.store.term:
            return "S20: a controller that does not hold the lease announces"
        case _:
            pass
    return None


def _terms(world: World) -> tuple[Term, ...]:
    return (world.store.term, *(it.term for it in world.controllers))


def _epochs(world: World) -> tuple[Term, ...]:
    floors = tuple(term for proxy in world.proxies for term in proxy)
    return (*floors, *(Term(it.rev[0], it.taking) for it in (world.bus, world.reader)))


def _was_seen(taken: Term, term: Term) -> bool:
    return taken.epoch <= term.epoch and term != NOBODY


def _of_command(before: World, action: Action) -> str | None:
    match action.does:
        case Does.COMMAND if before.is_on is action.is_on:
            return "S13: a command repeats what was done already"
        case Does.START:
            command = before.commands[action.number]
            if is_below(command.term, before.proxies[command.proxy].echoed):
                return "S21: a command under an old epoch starts at a proxy that echoed the new one"
            if any(it is not command and it.stage is Stage.STARTED for it in before.commands):
                return "S21: two commands of one plug overlap"
        case Does.ACT if before.commands[action.number].is_old:
            return "S21: a command changes the plug after a newer one was sent"
        case _:
            pass
    return None


def _of_state(before: World, action: Action, world: World) -> str | None:
    match action.does:
        case Does.FENCE | Does.ANNOUNCE | Does.POST if world.store.state.is_fenced and not _is_off(world):
            what = "recorded" if action.does is Does.FENCE else "announced"
            return f"S1: fenced is {what}, and the host is on or an ON may still act"
        case Does.ANNOUNCE | Does.DELIVER:
            came, known = world.bus, before.reader
            if came.rev == known.rev and came != known:
                return "S22: two announcements have one token"
        case _:
            pass
    reader = before.reader
    is_owed = reader.is_fenced and reader.is_lost and reader.rev > before.store.state.rev
    if action.does is Does.FENCE and is_owed and action.replaces != reader.rev:
        return "S22: a lost fence is announced again without `replaces`"
    if not world.is_doubted and world.store.state.is_fenced and not _is_off(world):
        return "S1: the host counts as fenced, and it is on or an ON may still act"
    return None


def _is_off(world: World) -> bool:
    return not world.is_on and not any(it.is_on and may_act(world, it) for it in world.commands)


def may_act(world: World, command: Command) -> bool:
    return command.stage is Stage.STARTED or not is_below(command.term, world.proxies[command.proxy].floor)


def is_good_end(world: World) -> bool:
    """Nothing is on its way, one controller holds the lease, and journal, bus and reader know the truth."""
    state = world.store.state
    is_quiet = not world.commands and world.post is None and not world.store.is_promoted
    is_held = any(it.term == world.store.term and not it.is_over for it in world.controllers)
    is_told = _is_same(world.bus, state) and _is_same(world.reader, state)
    return is_quiet and is_held and is_told and not (state.is_fenced and world.is_on)


def _is_same(message: Message, state: Message) -> bool:
    return message.rev == state.rev and (message.is_fenced is state.is_fenced or state.rev == (0, 0))
