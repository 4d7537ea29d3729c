"""Unify worlds with several controllers that differ only in names and numbers, and forget what can't matter any more.

Epochs and revisions become ranks, proxies get a fixed order, and what can do nothing any more disappears: controllers,
commands that every path refuses, revisions that every reader overtook. Worlds that become equal here must have the same
futures. Where a rule is left out that makes something forgettable, it stays.
"""

from tests.formal.controllers.effects import messages, terms
from tests.formal.controllers.model import (
    NOBODY,
    Command,
    Controller,
    Message,
    Post,
    Proxy,
    Reading,
    Store,
    Term,
    World,
)
from tests.formal.controllers.rules import REVIVING, is_idle, may_matter

OF_EPOCHS = frozenset({"jump", "epoch", "holder", "holder too", "waits for append"})
"""Without one of these a new record may have a lower revision than an old one, so the numbers matter."""
OF_ROWS = REVIVING | OF_EPOCHS | {"watched anew", "released anew", "loss kept"}
"""Without one of these it matters who wrote an old row."""


def canonical(world: World, without: frozenset[str]) -> World:
    """Return the representative of all equivalent worlds."""
    alive = [it for it in world.controllers if not is_idle(world, it, without)]
    if len(alive) > 1:
        alive.sort()
    owners = {it.term for it in alive}
    commands = tuple(it for it in world.commands if may_matter(world, it, without))
    store, copy = _row(world, owners, without), world.copy
    controllers = tuple(_controller(store, it, without) for it in alive)
    if copy is not None and without.isdisjoint(OF_ROWS):
        copy = Store(state=copy.state)
    bus, post = world.bus, world.post
    if without.isdisjoint(OF_EPOCHS) and "hot standby" not in without:
        bus, post = _overtaken(world)
    if post is not None and post.who not in owners:
        post = post._replace(who=NOBODY)
    world = World(
        store,
        copy,
        world.is_doubted,
        controllers,
        _floors(world, owners, commands, without),
        commands,
        world.is_on,
        bus,
        world.reader,
        post,
        world.running,
    )
    if "jump" not in without:
        world = _ranked(world, is_flat=without.isdisjoint(OF_EPOCHS))
    return _ordered(world) if world.commands or len(world.proxies) > 1 else world


def _row(world: World, owners: set[Term], without: frozenset[str]) -> Store:
    """Forget who wrote the row when everyone may take the lease."""
    store = world.store
    if (owners and not store.is_promoted) or not without.isdisjoint(OF_ROWS):
        return store
    is_free = store.is_watched or (store.is_released and not store.is_promoted)
    return Store(NOBODY, False, is_free, store.is_promoted and bool(owners), state=store.state)


def _overtaken(world: World) -> tuple[Message, Post | None]:
    """Forget the content of publications that every reader ignores."""
    bus, post, rev = world.bus, world.post, world.reader.rev
    if bus.rev < rev:
        bus = Message()
    if post is not None and post.state.rev < rev:
        post = Post(post.who, Message())
    return bus, post


def _controller(store: Store, controller: Controller, without: frozenset[str]) -> Controller:
    term, is_over, reading, is_wary = controller
    if term != store.term and without.isdisjoint(REVIVING):
        reading = Reading.NONE
    return Controller(term, is_over, reading, is_wary and "loss kept" in without)


def _floors(
    world: World, owners: set[Term], commands: tuple[Command, ...], without: frozenset[str]
) -> tuple[Proxy, ...]:
    """Forget floors that refuse nothing."""
    if not world.proxies or "jump" in without:
        return world.proxies
    lowest = min(owners | {it.term for it in commands}, default=None)
    if lowest is None:
        return (Proxy(),) * len(world.proxies)
    return tuple(Proxy(*(NOBODY if term < lowest else term for term in proxy)) for proxy in world.proxies)


def _ranked(world: World, *, is_flat: bool) -> World:
    """Number epochs and revisions by rank. `is_flat`: every new revision is the highest, whatever its epoch."""
    said = sorted({message.rev for message in messages(world)} | {(0, 0)})
    known = {term.epoch for term in terms(world)} if not is_flat else {term.epoch for term in _takings(world)}
    rank = {epoch: number for number, epoch in enumerate(sorted(known | {0}))}
    if is_flat:
        place = {rev: (0, number) for number, rev in enumerate(said)}
    else:
        place = {rev: (rank[rev[0]], number if rev[0] else 0) for number, rev in enumerate(said)}
    term = {epoch: Term(number, number) for epoch, number in rank.items()}

    def message(it: Message) -> Message:
        return Message(place[it.rev], 0, it.is_fenced, it.is_lost)

    def store(it: Store) -> Store:
        return Store(
            term[it.term.epoch], it.is_released, it.is_watched, it.is_promoted, it.is_behind, message(it.state)
        )

    post, running = world.post, world.running
    return World(
        store(world.store),
        None if world.copy is None else store(world.copy),
        world.is_doubted,
        tuple(Controller(term[it.term.epoch], *it[1:]) for it in world.controllers),
        tuple(Proxy(term[it.floor.epoch], term[it.echoed.epoch]) for it in world.proxies),
        tuple(Command(term[it.term.epoch], *it[1:]) for it in world.commands),
        world.is_on,
        message(world.bus),
        message(world.reader),
        None if post is None else Post(term[post.who.epoch], message(post.state)),
        None if running is None else running._replace(who=term[running.who.epoch]),
    )


def _takings(world: World) -> list[Term]:
    found = [world.store.term, *(it.term for it in world.controllers), *(it.term for it in world.commands)]
    found += [term for proxy in world.proxies for term in proxy]
    found += [] if world.copy is None else [world.copy.term]
    return found + ([] if world.running is None else [world.running.who])


def _ordered(world: World) -> World:
    """Give proxies and commands an order: they have no names."""
    if len(world.proxies) < 2:
        return world._replace(commands=tuple(sorted(world.commands)))
    first, second = (
        (proxy, sorted(it._replace(proxy=0) for it in world.commands if it.proxy == number), _running_at(world, number))
        for number, proxy in enumerate(world.proxies)
    )
    if first <= second:
        return world._replace(commands=tuple(sorted(world.commands)))
    running = world.running
    return world._replace(
        proxies=(second[0], first[0]),
        commands=tuple(sorted(it._replace(proxy=1 - it.proxy) for it in world.commands)),
        running=None if running is None else running._replace(number=1 - running.number),
    )


def _running_at(world: World, number: int) -> bool:
    return world.running is not None and world.running.number == number
