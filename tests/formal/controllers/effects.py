"""What each action does to the world of several controllers. Guards are in `rules.py`."""

from collections.abc import Iterator

from tests.formal.controllers.model import (
    NOBODY,
    Action,
    Command,
    Controller,
    Does,
    Message,
    Post,
    Proxy,
    Reading,
    Scope,
    Stage,
    Store,
    Term,
    World,
    is_below,
)


def after(world: World, action: Action, scope: Scope, without: frozenset[str]) -> World:
    """Return the world after the action. `without`: rules left out, as far as they are part of an effect."""
    match action.does:
        case Does.COMMAND | Does.FENCE | Does.FREE:
            if "waits for append" in without:
                return world._replace(running=action)
            return _appended(_with_tail(world, action), action, scope, without)
        case Does.COMMIT:
            assert world.running is not None
            return _appended(_with_tail(world._replace(running=None), world.running), world.running, scope, without)
        case Does.ABORT:
            return world._replace(running=None)
        case Does.CHECK | Does.ACCEPT | Does.START | Does.ACT | Does.LOSE | Does.RESTART | Does.RAISE:
            return _travelled(world, action, without)
        case Does.ANNOUNCE:
            return _heard(world, world.store.state)
        case Does.POST:
            return world._replace(post=Post(action.who, world.store.state))
        case Does.DELIVER:
            assert world.post is not None
            return _heard(world._replace(post=None), world.post.state)
        case Does.DROP:
            return world._replace(post=None)
        case Does.CUT:
            commands = tuple(command._replace(is_kept=command.is_recorded) for command in world.commands)
            return world._replace(copy=world.store, commands=commands)
        case Does.PROMOTE:
            assert world.copy is not None
            return _promoted(world, world.copy, without)
        case _:
            return _leased(world, action, without)


def _leased(world: World, action: Action, without: frozenset[str]) -> World:
    store = world.store
    match action.does:
        case Does.TAKE:
            taken = Controller(new_term(world, action, without), is_wary=store.is_promoted)
            taking = store._replace(
                term=taken.term, is_released=False, is_watched=False, is_promoted=False, is_behind=False
            )
            return world._replace(store=taking, controllers=(*world.controllers, taken))
        case Does.WATCH:
            return world._replace(store=store._replace(is_watched=True))
        case Does.RENEW:
            renewed = world.controller(action.who)._replace(is_over=False)
            row = store if action.is_elsewhere else store._replace(is_watched=False)
            return _put(world, renewed)._replace(store=row)
        case Does.OVER:
            return _put(world, world.controller(action.who)._replace(is_over=True))
        case Does.RELEASE:
            return _ended(world, action.who)._replace(store=store._replace(is_released=True))
        case Does.END:
            return _ended(world, action.who)
        case _:
            reading = Reading.ON if world.is_on else Reading.OFF
            return _put(world, world.controller(action.who)._replace(reading=reading))


def terms(world: World) -> Iterator[Term]:
    """Yield every taking that somebody or something still knows."""
    yield world.store.term
    if world.copy is not None:
        yield world.copy.term
    for controller in world.controllers:
        yield controller.term
    for proxy in world.proxies:
        yield from proxy
    for command in world.commands:
        yield command.term
    if world.running is not None:
        yield world.running.who
    for message in messages(world):
        yield Term(message.rev[0], message.taking)


def messages(world: World) -> Iterator[Message]:
    yield from (world.store.state, world.bus, world.reader)
    if world.copy is not None:
        yield world.copy.state
    if world.post is not None:
        yield world.post.state


def new_term(world: World, action: Action, without: frozenset[str]) -> Term:
    """Return the term of a taking: above everything, or with the rules left out, above what the taker knows."""
    known = list(terms(world))
    epoch, taking = max(term.epoch for term in known) + 1, max(term.taking for term in known) + 1
    if "jump" in without and ("above seen" in without or not action.is_knowing):
        seen = 0 if "above seen" in without else world.bus.rev[0]
        epoch = max(world.store.term.epoch, seen) + 1
    return Term(epoch, taking)


def _with_tail(world: World, action: Action) -> World:
    """Remember whether the copy lacks something of the holder that its row names."""
    if world.copy is None or world.copy.term != action.who:
        return world
    return world._replace(copy=world.copy._replace(is_behind=True))


def _appended(world: World, action: Action, scope: Scope, without: frozenset[str]) -> World:
    store, who = world.store, action.who
    if action.does is Does.COMMAND:
        return _commanded(world, action, scope, without)
    epoch, number = store.state.rev
    number = number + 1 if epoch == who.epoch or "jump" in without else 1
    is_fenced = action.does is Does.FENCE
    state = Message((who.epoch, number), who.taking, is_fenced) if scope.is_announcing else Message(is_fenced=is_fenced)
    return world._replace(store=store._replace(state=state))


def _commanded(world: World, action: Action, scope: Scope, without: frozenset[str]) -> World:
    """The record of a command. One of an ON says that the host is not fenced any more."""
    who = action.who
    stage = Stage.HELD if scope.proxies else Stage.STARTED
    command = Command(who, action.number, action.is_on, stage, is_recorded=not action.is_elsewhere)
    old = tuple(it._replace(is_old=True) for it in world.commands)
    owners = {it.term for it in world.controllers}
    if who in owners:
        world = _put(world, world.controller(who)._replace(reading=Reading.NONE))
        world = world._replace(commands=(*old, command))
    if world.store.state.is_fenced and action.is_on and not action.is_elsewhere:
        return _appended(world, Action(Does.FREE, who), scope, without)
    return world


def _travelled(world: World, action: Action, without: frozenset[str]) -> World:
    if action.does in {Does.RESTART, Does.RAISE}:
        return _at_proxy(world, action, without)
    command = world.commands[action.number]
    others = (*world.commands[: action.number], *world.commands[action.number + 1 :])
    match action.does:
        case Does.ACT:
            return world._replace(is_on=command.is_on, commands=others)
        case Does.LOSE:
            stays = "no stop before the write" if command.stage is Stage.STARTED else "not after"
            if stays not in without or command.stage is Stage.HELD:
                return world._replace(commands=others)
            moved = command._replace(is_counted=False)
        case Does.START:
            moved = command._replace(stage=Stage.STARTED)
            world = _raised(world, command.proxy, command.term, without)
        case Does.ACCEPT:
            moved = command._replace(stage=Stage.ACCEPTED)
            world = _raised(world, command.proxy, command.term, without)
        case _:
            moved = command._replace(stage=Stage.SENT)
    commands = (*world.commands[: action.number], moved, *world.commands[action.number + 1 :])
    return world._replace(commands=commands)


def _at_proxy(world: World, action: Action, without: frozenset[str]) -> World:
    number = action.number
    if action.does is Does.RAISE:
        return _raised(world, number, action.who, without)
    kept = tuple(it for it in world.commands if "boot" in without or it.proxy != number or it.stage is Stage.HELD)
    proxy = world.proxies[number]
    if "floor on disk" in without:
        proxy = proxy._replace(floor=NOBODY)
    return _with_proxy(world._replace(commands=kept), number, proxy)


def _raised(world: World, number: int, term: Term, without: frozenset[str]) -> World:
    proxy = world.proxies[number]
    if is_below(term, proxy.echoed, without):
        return world
    return _with_proxy(world, number, Proxy(floor=proxy.floor if "floor" in without else term, echoed=term))


def _with_proxy(world: World, number: int, proxy: Proxy) -> World:
    return world._replace(proxies=(*world.proxies[:number], proxy, *world.proxies[number + 1 :]))


def _heard(world: World, message: Message) -> World:
    """The bus keeps what arrived last; a reader believes the highest revision."""
    return world._replace(bus=message, reader=message if message.rev > world.reader.rev else world.reader)


def _promoted(world: World, copy: Store, without: frozenset[str]) -> World:
    """The copy takes the store's place, without the tail."""
    is_noticed = "promotion" not in without
    is_watched = not is_noticed or "watched anew" in without
    store = copy._replace(is_promoted=is_noticed, is_watched=is_watched)
    post = None if world.post is None else world.post._replace(state=_marked(world.post.state, copy))
    return world._replace(
        store=store,
        copy=None,
        is_doubted=True,
        commands=tuple(it._replace(is_recorded=it.is_kept, is_kept=False) for it in world.commands),
        bus=_marked(world.bus, copy),
        reader=_marked(world.reader, copy),
        post=post,
        running=None,
    )


def _marked(message: Message, copy: Store) -> Message:
    return message._replace(is_lost=message.rev > copy.state.rev)


def _put(world: World, controller: Controller) -> World:
    others = tuple(controller if it.term == controller.term else it for it in world.controllers)
    return world._replace(controllers=others)


def _ended(world: World, who: Term) -> World:
    """A life ends: what it recorded and did not send yet is never sent."""
    return world._replace(
        controllers=tuple(it for it in world.controllers if it.term != who),
        commands=tuple(it for it in world.commands if it.term != who or it.stage is not Stage.HELD),
    )
