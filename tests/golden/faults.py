"""The script's commands for faults: of plugs, proxies, the broker and the hosts' messages.

Each function takes the words after its subject and returns whether it knows them. Knows the world, not the daemon.
"""

import json
from collections.abc import Sequence

from fenced.bus.topics import Topics
from fenced.core.heard.looks import Saw
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.ports.bus import Message
from tests.world.looking import EVERYWHERE
from tests.world.machines import Plug
from tests.world.strangers import stranger
from tests.world.world import World


def plug(world: World, plug: Plug, words: Sequence[str]) -> bool:
    """`plug HOST DEVICE ...`; the plug itself knows what is honest and what is false."""
    match words:
        case ["acts", seconds, "late"]:
            plug.act_late(float(seconds), settle_seconds=_settle(world, plug), shows_turning=False)
        case ["is", seconds, "on", "its", "way"]:
            plug.act_late(float(seconds), settle_seconds=_settle(world, plug), shows_turning=True)
        case ["reads", "off", seconds, "early"]:
            plug.read_early(float(seconds))
        case ["sticks", "in", "between"]:
            plug.is_between = True
        case ["refuses", "when", "already", "so"]:
            plug.refuses_repeated = True
        case ["stays", "off"]:
            plug.stays_off = True
        case ["flaps"]:
            plug.flaps = True
        case ["is", "silently", "dead"]:
            plug.be_dummy()
        case ["is", "swapped", "with", host]:
            plug.swap(world.plug(host, plug.device))
        case ["is", "another", "unit", ("on" | "off") as power, "through", path]:
            plug.stray(path, stranger(plug, is_on=power == "on", read_seconds=plug.read_seconds))
        case ["is", "that", "of", host, "through", path]:
            plug.stray(path, world.plug(host, plug.device))
        case ["belongs", "to", *identities]:
            plug.identities = tuple(identities)
        case ["unreachable", "through", *proxies]:
            plug.unreachable_through = frozenset(proxies)
        case ["loses", "answers", "through", *proxies]:
            plug.unanswered_through = frozenset(proxies)
        case _:
            return False
    return True


def _settle(world: World, plug: Plug) -> float:
    return world.inventory.hosts[plug.machine.name].devices[0].settle_seconds  # all devices of a rack are alike


def proxy(world: World, name: str, words: Sequence[str]) -> bool:
    """`proxy NAME ...`; `proxy NAME works` mends it all."""
    path = world.path(name)
    match words:
        case ["works"]:
            _mend_proxy(world, name)
        case ["dead"]:
            path.is_dead = True
        case ["slow", seconds]:
            path.delay_seconds = float(seconds)
        case ["hangs"]:
            path.is_hanging = True
        case ["cut"]:
            path.is_way_cut = True
        case ["cut", "on", "the", "way", "there"]:
            path.is_way_there_cut = True
        case ["cut", "on", "the", "way", "back"]:
            path.is_way_back_cut = True
        case ["cut", "from", daemon]:
            path.cut_from |= {daemon}
        case ["answers", seconds, "late"]:
            path.answer_seconds = float(seconds)
        case ["dies", "after", "it", "sent"]:
            path.dies_sending = True
        case ["crashes"]:
            world.proxy(name).crash(are_agents_spared=False)
        case ["crashes,", "its", "agents", "live"]:
            world.proxy(name).crash(are_agents_spared=True)
        case ["restarts"]:
            world.proxy(name).start()
        case ["reboots"]:
            world.proxy(name).start(is_machine_booted=True)
        case ["restarts", "with", "an", "empty", "disk"]:
            world.proxy(name).start(is_emptied=True)
        case ["loses", "its", "disk"]:
            world.proxy(name).state.is_broken = True
        case ["clock", "jumps", seconds]:
            world.proxy(name).shift_clock(float(seconds))
        case _:
            return False
    return True


def _mend_proxy(world: World, name: str) -> None:
    """Repair its way, disk and agent; its clock stays as it is."""
    world.path(name).mend()
    if name == ENGINE:
        return
    proxy = world.proxy(name)
    proxy.mend_disk()
    if proxy.is_down:
        proxy.start()


def bus(world: World, words: Sequence[str]) -> bool:
    """`bus ...`: faults of one direction."""
    match words:
        case ["unheard"]:
            world.broker.is_unheard = True
        case ["swallows"]:
            world.broker.is_swallowing = True
        case ["refuses", "topics", "of", name]:
            world.broker.refused |= {name}
        case ["takes", "topics", "of", name]:
            world.broker.refused -= {name}
        case ["unheard", "by", daemon]:
            world.broker.deaf |= {daemon}
        case ["swallows", "of", daemon]:
            world.broker.dumb |= {daemon}
        case ["works"]:
            world.broker.is_unheard = world.broker.is_swallowing = False
            world.broker.deaf = world.broker.dumb = frozenset()
            world.broker.set_up(world.broker.is_up)  # wakes waiting messages
        case ["shows", name, "its", "first", state]:
            _show_again(world, name, state)
        case ["shows", name, state, "under", token]:
            _show(world, name, {"state": state, "token": token, "rev": token, "controller": "fenced-a"})
        case _:
            return False
    return True


def _show_again(world: World, name: str, state: str) -> None:
    """Publish the first such state of a host again, as a controller does that was frozen when it sent it."""
    topic = f"/state/{name}"
    sent = (json.loads(it.payload) for _, it in world.broker.published if it.topic.endswith(topic) and it.payload)
    _show(world, name, next(body for body in sent if body["state"] == state))


def _show(world: World, name: str, body: dict[str, object]) -> None:
    topic = Topics(site=world.inventory.daemon.site).state(name)
    world.broker.show("a predecessor", Message(topic=topic, payload=json.dumps(body).encode(), is_retained=True))


def post(world: World, words: Sequence[str]) -> bool:
    """`post ...`: the path of the hosts' messages."""
    match words:
        case ["loses", percent]:
            world.post.lost_share = float(percent.rstrip("%")) / 100.0
        case ["repeats", percent]:
            world.post.repeated_share = float(percent.rstrip("%")) / 100.0
        case ["delays", "up", "to", seconds]:
            world.post.delay_seconds_max = float(seconds)
        case ["keeps", "back", *hosts]:
            world.post.keeps_back = frozenset(HostName(host) for host in hosts or world.machines)
        case ["lets", "go"]:
            world.post.let_go()
        case ["keeps", "the", "last"]:
            world.post.keeps = True
        case [host, "loses", percent]:
            world.post.of_hosts[HostName(host)] = (float(percent.rstrip("%")) / 100.0, 0.0)
        case [host, "delays", "up", "to", seconds]:
            world.post.of_hosts[HostName(host)] = (0.0, float(seconds))
        case ["works"]:
            world.post.mend()
        case _:
            return False
    return True


def polling(world: World, name: str, words: Sequence[str]) -> bool:
    """`HOST is polled ...`: its second reporter."""
    match words:
        case ["is", "polled", "every", seconds]:
            world.poll(name, float(seconds))
        case ["is", "polled", "every", seconds, "as", "if", "every", named]:
            world.poll(name, float(seconds), named=float(named))
        case ["is", "polled", "by", "one", "that", "counts", "anew"]:
            world.machine(name).polls = 0
        case ["is", "polled", "no", "more"]:
            world.poll(name, 0.0)
        case _:
            return False
    return True


def observer(world: World, name: str, words: Sequence[str]) -> bool:
    """`observer NAME ...`, of a proxy that may look, or of `engine`: what it sees and answers."""
    eye = world.eyes.eye(ProxyName(name))
    match words:
        case ["sleeps"]:
            eye.is_asleep = True
        case ["is", "blind"]:
            eye.blind_over.add(EVERYWHERE)
        case ["is", "blind", "over", network]:
            eye.blind_over.add("" if network == "address" else network)
        case ["can't", "reach", host]:
            eye.cannot_reach.add(HostName(host))
        case ["says", saw, "of", host]:
            eye.lies[HostName(host)] = Saw(saw)
        case ["lags", seconds]:
            eye.lag_seconds = float(seconds)
        case ["sees", "well"]:
            eye.mend()
        case _:
            return False
    return True
