"""The steps of the model of several controllers, in words. A controller is called by its epoch."""

from tests.formal.controllers.model import NOBODY, Action, Command, Does, Message, Stage, Term, World


def named(world: World, action: Action) -> str:
    """Return one step in words. `world`: before it."""
    if action.does in _OF_CONTROLLERS:
        return f"{_who(action.who)} {_controller(world, action)}"
    if action.does in _OF_COMMANDS:
        return _travel(world, world.commands[action.number], action)
    running = "" if world.running is None else f"the append of {_who(world.running.who)}"
    return {
        Does.TAKE: f"a standby takes the lease{'' if action.is_knowing else ', and knows nothing of what was lost'}",
        Does.WATCH: "a standby has seen the row unchanged for a whole lease of its own clock",
        Does.RESTART: f"{_proxy(action.number)} restarts",
        Does.DELIVER: f"the late publication arrives: {_state(None if world.post is None else world.post.state)}",
        Does.DROP: "the late publication is lost",
        Does.COMMIT: f"{running} is committed: {'' if world.running is None else _append(world, world.running)}",
        Does.ABORT: f"{running} fails",
        Does.CUT: "the standby database falls behind from here on",
        Does.PROMOTE: "the standby database is promoted: what was written since it fell behind is lost",
    }[action.does]


_OF_CONTROLLERS = frozenset(Does(number) for number in range(Does.RENEW, Does.ACCEPT)) | {Does.OVER}
_OF_COMMANDS = frozenset({Does.ACCEPT, Does.START, Does.ACT, Does.LOSE})


def _proxy(number: int) -> str:
    return f"proxy {number + 1}"


def _who(term: Term) -> str:
    return "a standby" if term == NOBODY else f"the controller of taking {term.taking} (epoch {term.epoch})"


def _controller(world: World, action: Action) -> str:
    if action.does in {Does.COMMAND, Does.FENCE, Does.FREE}:
        verb = "begins to append" if world.running is not None else "appends"
        return f"{verb}: {_append(world, action)}"
    if action.does is Does.CHECK:
        return f"finds its lease in time and sends {_power(world.commands[action.number])}"
    return {
        Does.RENEW: f"renews its lease{' at the replaced database' if action.is_elsewhere else ''}",
        Does.RELEASE: "releases the lease and ends",
        Does.END: "ends",
        Does.RAISE: f"raises the floor of {_proxy(action.number)}",
        Does.READ: f"reads the device: {'ON' if world.is_on else 'OFF'}",
        Does.ANNOUNCE: f"publishes: {_state(world.store.state)}",
        Does.POST: f"is about to publish ({_state(world.store.state)}) and freezes, or the network delays it",
        Does.OVER: "has no lease any more by its own clock",
    }[action.does]


def _append(world: World, action: Action) -> str:
    place = " at the replaced database" if action.is_elsewhere else ""
    if action.does is Does.COMMAND:
        path = f" by {_proxy(action.number)}" if world.proxies else ""
        return f"the command {'ON' if action.is_on else 'OFF'}{path}{place}"
    if action.does is Does.FENCE:
        return f"fenced{f', replaces revision {_revision(action.replaces)}' if action.replaces > (0, 0) else ''}{place}"
    return f"not fenced{place}"


def _travel(world: World, command: Command, action: Action) -> str:
    proxy = _proxy(command.proxy)
    floor = world.proxies[command.proxy].echoed if world.proxies else NOBODY
    said = f", which echoed epoch {floor.epoch}" if floor != NOBODY else ""
    is_late = "" if command.is_counted else " after its not_after"
    end = "fails" if command.stage is Stage.STARTED else "is lost, refused or past its not_after"
    return {
        Does.ACCEPT: f"{proxy}{said}, accepts {_power(command)}, which waits for its turn",
        Does.START: f"{_power(command)} starts at the driver of {proxy}{said}{is_late}",
        Does.ACT: f"{_power(command)} changes the plug{is_late}",
        Does.LOSE: f"{_power(command)} {end}",
    }[action.does]


def _power(command: Command) -> str:
    return f"the {'ON' if command.is_on else 'OFF'} of epoch {command.term.epoch}"


def _state(state: Message | None) -> str:
    if state is None or state.rev == (0, 0):
        return "nothing"
    return f"{'fenced' if state.is_fenced else 'not fenced'}, revision {_revision(state.rev)}"


def _revision(rev: tuple[int, int]) -> str:
    return f"{rev[0]}-{rev[1]}"
