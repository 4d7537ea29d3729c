"""What may happen with several controllers: the rules that forbid an action now, and every action that may be tried.

`effects.py` has what an action does. Each guard is written once, here, and names its rule (S20 to S22).
"""

from collections.abc import Iterator

from tests.formal.controllers.model import (
    CONTROLLERS,
    NOBODY,
    Action,
    Command,
    Controller,
    Does,
    Message,
    Reading,
    Scope,
    Stage,
    Term,
    World,
    is_below,
)

NEVER = "never"
"""Impossible or meaningless; can't be left out."""
COMMANDS = 2
"""The maximum of commands that may act at once: with all rules there is never more than one."""
REVIVING = frozenset(
    {"epoch", "holder", "own lease", "outbox", "promotion", "holder too", "batch", "one primary", "waits for append"}
)
"""Without one of these a controller that was replaced can still do something."""

OF_FLOORS = frozenset({"floor", "floor on disk", "compared again", "holder"})
"""Without one of these a proxy may start what its floor refuses."""


def is_idle(world: World, controller: Controller, without: frozenset[str]) -> bool:
    """Return whether a controller can do nothing any more: another one holds the lease and its own time is over."""
    is_holder = controller.term == world.store.term and not world.store.is_promoted
    return controller.is_over and not is_holder and not REVIVING & without


def may_matter(world: World, command: Command, without: frozenset[str]) -> bool:
    """Return whether a command may still start or act, or a rule that was left out may let it."""
    if command.stage is Stage.STARTED:
        return True
    if command.stage is Stage.HELD and world.running is None:
        owners = (it for it in world.controllers if it.term == command.term)
        if all(is_idle(world, it, without) for it in owners):
            return False
    return not (without.isdisjoint(OF_FLOORS) and is_below(command.term, world.proxies[command.proxy].floor))


def is_settled(world: World, controller: Controller, without: frozenset[str]) -> bool:
    """Return whether no command that the controller knows, or must reckon with, may still act."""
    is_wary = "longest" not in without and knows_loss(world, controller, without)
    for command in world.commands:
        if not command.is_counted or not (command.is_recorded or is_wary) or not may_matter(world, command, without):
            continue
        is_own = command.term == controller.term
        if not is_own and "settled" in without:
            continue
        if command.stage is Stage.STARTED or is_own:
            return False
        if not is_below(command.term, world.proxies[command.proxy].echoed):
            return False
    return True


def knows_loss(world: World, controller: Controller, without: frozenset[str]) -> bool:
    if "promotion" in without:
        return False  # the worst case: nobody who saw the lost records is left
    return controller.is_wary if "loss kept" in without else world.is_doubted


def heard_state(world: World, without: frozenset[str]) -> Message:
    """Return the newest state that a controller heard on the bus."""
    return world.bus if "hot standby" in without else world.reader


def refusals(world: World, action: Action, without: frozenset[str]) -> Iterator[str]:
    """Yield the rules that forbid the action; none: it may happen. `without`: as far as a guard needs another rule."""
    store = world.store
    match action.does:
        case Does.TAKE:
            yield from _take(world)
        case Does.WATCH:
            if any(not it.is_over for it in world.controllers):
                yield "counted from before"
        case Does.RENEW | Does.RELEASE:
            yield from _holds(world, action, without)
            if store.is_released:
                yield NEVER
        case Does.COMMAND | Does.FENCE | Does.FREE:
            yield from _holds(world, action, without)
            yield from _append(world, world.controller(action.who), action, without)
        case Does.READ:
            if not is_settled(world, world.controller(action.who), without):
                yield NEVER
        case Does.CHECK:
            if world.controller(action.who).is_over:
                yield "own lease"
        case Does.ANNOUNCE | Does.POST:
            yield from _announce(world, action, without)
        case Does.ACCEPT | Does.START:
            command = world.commands[action.number]
            is_compared = action.does is Does.ACCEPT or command.stage is Stage.SENT
            if is_compared and is_below(command.term, world.proxies[command.proxy].floor, without):
                yield NEVER
        case Does.RAISE:
            if is_below(action.who, world.proxies[action.number].floor, without):
                yield NEVER
        case _:
            pass


def _take(world: World) -> Iterator[str]:
    store = world.store
    if world.running is not None:
        yield "waits for append"
    if store.is_released and not store.is_promoted:
        return
    if not store.is_watched:
        yield "released anew" if store.is_released else "row watched"


def _holds(world: World, action: Action, without: frozenset[str]) -> Iterator[str]:
    """Yield what forbids a transaction under the lease."""
    store = world.store
    if action.is_elsewhere:
        yield "one primary"
        return
    if world.running is not None:
        yield NEVER
    if store.term.epoch != action.who.epoch:
        yield "epoch"
    elif store.term != action.who:
        yield "holder"
    if store.is_promoted:
        yield "holder too"
    if store.is_behind:
        yield "batch"


def _append(world: World, controller: Controller, action: Action, without: frozenset[str]) -> Iterator[str]:
    """Yield what forbids the record for reasons of the host."""
    state, reading = world.store.state, controller.reading
    heard = heard_state(world, without)
    is_owed = heard.is_lost and heard.rev > state.rev
    match action.does:
        case Does.COMMAND:
            if reading is Reading.NONE:
                yield "read first"
            elif (reading is Reading.ON) is action.is_on:
                yield NEVER
            if not is_settled(world, controller, without):
                yield NEVER
            is_announced = world.reader.rev >= state.rev  # S8, which the other model has
            if state.is_fenced and not (action.is_on and is_announced):
                yield NEVER
        case Does.FENCE:
            if reading is not Reading.OFF or (state.is_fenced and not is_owed):
                yield NEVER
            if is_owed and heard.is_fenced and action.replaces != heard.rev:
                yield "replaces"
        case _:
            if reading is not Reading.ON or not (state.is_fenced or is_owed):
                yield NEVER


def _announce(world: World, action: Action, without: frozenset[str]) -> Iterator[str]:
    store = world.store
    if action.who == NOBODY:
        yield "silent standby"
        return
    controller = world.controller(action.who)
    if store.state.rev == (0, 0):
        yield NEVER
    if store.term != action.who or store.is_promoted:
        yield "outbox"
    if controller.is_over:
        yield "own lease"
    if knows_loss(world, controller, without) and store.state.is_fenced and controller.reading is not Reading.OFF:
        yield "proof anew"
    if world.post is not None and world.post.who == action.who:
        yield NEVER  # what one controller publishes arrives in order


# -- all possible actions ---------------------------------------------------------------------------------------------


def actions(world: World, scope: Scope, without: frozenset[str]) -> Iterator[Action]:
    """Yield every action that would change something."""
    store = world.store
    if sum(not is_idle(world, it, without) for it in world.controllers) < CONTROLLERS:
        yield Action(Does.TAKE)
        if "jump" in without:
            yield Action(Does.TAKE, is_knowing=False)
    if not store.is_watched and (not store.is_released or store.is_promoted):
        yield Action(Does.WATCH)
    for controller in world.controllers:
        yield from _of_controller(world, controller, scope, without)
    for number, command in enumerate(world.commands):
        yield from _of_command(command, number, without)
    if not without.isdisjoint({"floor on disk", "boot"}):
        yield from (Action(Does.RESTART, number=proxy) for proxy in range(scope.proxies))
    if world.post is not None:
        yield Action(Does.DELIVER)
        yield Action(Does.DROP)
    if "silent standby" in without and world.bus != store.state:
        yield Action(Does.ANNOUNCE)
    if world.running is not None:
        yield Action(Does.COMMIT)
        yield Action(Does.ABORT)
    if scope.may_lose and not world.is_doubted:
        yield Action(Does.CUT if world.copy is None else Does.PROMOTE)


def _of_controller(world: World, controller: Controller, scope: Scope, without: frozenset[str]) -> Iterator[Action]:
    store, term = world.store, controller.term
    yield Action(Does.END, term)
    if not controller.is_over:
        yield Action(Does.OVER, term)
    if controller.is_over or store.is_watched:
        yield Action(Does.RENEW, term)
        if "one primary" in without and world.is_doubted and store.term != term:
            yield Action(Does.RENEW, term, is_elsewhere=True)
    yield Action(Does.RELEASE, term)
    yield Action(Does.READ, term)
    yield from (Action(Does.RAISE, term, proxy) for proxy, it in enumerate(world.proxies) if it.echoed != term)
    is_due = world.reader.rev < store.state.rev or ("published anew" not in without and world.bus != store.state)
    if scope.is_announcing and is_due:
        yield Action(Does.ANNOUNCE, term)
    if scope.is_announcing and scope.may_delay and world.post is None and store.state.rev > (0, 0):
        yield Action(Does.POST, term)
    heard = heard_state(world, without)
    yield Action(Does.FENCE, term, replaces=heard.rev if heard.is_lost else (0, 0))
    if "replaces" in without and heard.is_lost:
        yield Action(Does.FENCE, term)
    if store.state.is_fenced or "revoke lost" not in without:
        yield Action(Does.FREE, term)
    if sum(may_matter(world, it, without) for it in world.commands) < COMMANDS:
        yield from _commands(world, term, without)
    for number, command in enumerate(world.commands):
        if command.stage is Stage.HELD and command.term == term:
            yield Action(Does.CHECK, term, number)


def _commands(world: World, term: Term, without: frozenset[str]) -> Iterator[Action]:
    for proxy in range(len(world.proxies) or 1):
        for is_on in (False, True):
            yield Action(Does.COMMAND, term, proxy, is_on)
            if "one primary" in without and world.is_doubted and world.store.term != term:
                yield Action(Does.COMMAND, term, proxy, is_on, is_elsewhere=True)


def _of_command(command: Command, number: int, without: frozenset[str]) -> Iterator[Action]:
    stage = command.stage
    if stage is Stage.SENT and "compared again" in without:
        yield Action(Does.ACCEPT, number=number)
    if stage in {Stage.SENT, Stage.ACCEPTED}:
        yield Action(Does.START, number=number)
    if stage is Stage.STARTED:
        yield Action(Does.ACT, number=number)
    if command.is_counted:
        yield Action(Does.LOSE, number=number)
