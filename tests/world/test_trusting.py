"""The two classes of the promise: with one liar, contradictions count; the remaining cases are those
of docs/safety.md.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Power
from tests.house.tree import ROOT
from tests.world.rack import Rack
from tests.world.rules import RULES
from tests.world.rules.trusting import NOT_PROMISED, AnnouncedIsOff, Class, class_of
from tests.world.strangers import stranger
from tests.world.test_checker import NODE, fenced, write
from tests.world.test_rules import found, read
from tests.world.world import World


def case(prepare: Callable[[World], None], rack: Rack | None = None) -> tuple[str, dict[str, int]]:
    """Return the findings when node-2 is announced as fenced by its level 1, and the cases that are not promised."""
    seen: list[dict[str, int]] = []

    async def plant(world: World) -> None:
        prepare(world)
        plugs = world.machines[NODE].plugs
        names = [name for name, plug in plugs.items() if name != DeviceName("bmc") and not plug.is_forgotten]
        for name in names:
            await read(world, name)
        if DeviceName("bmc") in world.machines[NODE].plugs and world.plug("node-2", "bmc").is_answering:
            await read(world, DeviceName("bmc"))
        await write(world, replace(fenced(), devices=tuple(names)))
        seen.extend(rule.seen for rule in world.checker.rules if isinstance(rule, AnnouncedIsOff))

    return found(plant, rack), seen[0]


def test_a_liar_beside_an_honest_device_that_is_on_is_no_excuse() -> None:
    text, seen = case(lambda world: world.plug("node-2", "pdu-a").lie(Power.OFF))
    assert "although pdu-b of its level, which is honest, is on" in text and not seen


def lies_alone(world: World) -> None:
    world.plug("node-2", "pdu-a").lie(Power.OFF)
    world.plug("node-2", "pdu-b").turn(Power.OFF)


def test_a_liar_that_nothing_contradicts_is_not_promised() -> None:
    assert case(lies_alone) == ("", {"one liar": 1})


def test_a_mislabelled_outlet_that_nothing_contradicts_is_not_promised() -> None:
    def prepare(world: World) -> None:
        world.plug("node-2", "pdu-a").miswire()
        for device in ("pdu-a", "pdu-b"):
            world.plug("node-2", device).turn(Power.OFF)

    assert case(prepare) == ("", {"mislabelled": 1})


def test_an_honest_chassis_that_was_read_on_contradicts() -> None:
    rack = Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2"))
    text, _ = case(lies_alone, rack)
    assert "although its chassis bmc, which is honest, was read ON" in text


def test_a_chassis_that_cannot_be_read_contradicts_nothing() -> None:
    def prepare(world: World) -> None:
        lies_alone(world)
        world.plug("node-2", "bmc").is_unreachable = True

    text, seen = case(prepare, Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2")))
    assert (text, seen) == ("", {"mute contradiction": 1})


def test_a_device_that_restarted_unseen_is_not_promised() -> None:
    def prepare(world: World) -> None:
        world.plug("node-2", "pdu-a").is_starting = True
        world.plug("node-2", "pdu-b").turn(Power.OFF)

    assert case(prepare) == ("", {"unseen restart": 1})


def astray(*read: tuple[str, Power]) -> Callable[[World], None]:
    """pdu-a of node-2 is another unit through px1, pdu-b is off. `read`: the daemon's readings of pdu-a, by path."""

    def prepare(world: World) -> None:
        plug = world.plug("node-2", "pdu-a")
        plug.stray("px1", stranger(plug, is_on=False))
        world.plug("node-2", "pdu-b").turn(Power.OFF)
        for proxy, power in read:
            world.wires.on_told(ProxyName(proxy), plug.plug_id, power)

    return prepare


def test_an_on_that_another_path_read_contradicts() -> None:
    text, seen = case(astray(("engine", Power.ON), ("px1", Power.OFF)), Rack(proxies=("px1",)))
    assert "although engine read pdu-a ON, and nothing since explains it" in text and not seen


def test_another_unit_that_no_path_contradicts_is_not_promised() -> None:
    assert case(astray(("px1", Power.OFF)), Rack(proxies=("px1",))) == ("", {"another unit": 1})


def test_an_on_that_the_same_path_took_back_contradicts_nothing() -> None:
    read = (("engine", Power.ON), ("px1", Power.OFF), ("engine", Power.OFF))
    assert case(astray(*read), Rack(proxies=("px1",))) == ("", {"another unit": 1})


def forget(world: World) -> None:
    """pdu-b feeds node-2 but is in no inventory."""
    assert world.files.edit(NODE, ["forgets", "pdu-b"])
    world.files.read()


def test_a_feed_in_no_inventory_is_not_promised() -> None:
    def prepare(world: World) -> None:
        forget(world)
        world.plug("node-2", "pdu-a").turn(Power.OFF)

    assert case(prepare) == ("", {"forgotten feed": 1})


def test_a_device_that_is_on_contradicts_beside_a_forgotten_feed() -> None:
    text, seen = case(forget)
    assert "although pdu-a of its level, which is honest, is on" in text and not seen


def test_two_liars_are_beyond() -> None:
    def prepare(world: World) -> None:
        for device in ("pdu-a", "pdu-b"):
            world.plug("node-2", device).lie(Power.OFF)
        assert class_of(world.machines[NODE]) is Class.BEYOND

    assert case(prepare) == ("", {"two liars": 1})


def test_every_rule_has_a_name_and_every_case_a_sentence() -> None:
    assert len({rule.__name__ for rule in RULES}) == len(RULES) and all(rule.name for rule in RULES)
    assert all(sentence.endswith(".") for sentence in NOT_PROMISED.values())


def test_what_is_not_promised_is_what_the_document_says() -> None:
    _, _, rest = (ROOT / "docs/safety.md").read_text(encoding="utf-8").partition("## What is not promised")
    listed = re.findall(r"^- \*\*(.+?)\*\*: (.+(?:\n  .+)*)$", rest.partition("\n## ")[0], re.MULTILINE)
    assert {name: " ".join(sentence.split()) for name, sentence in listed} == NOT_PROMISED


def test_feeds_on_several_levels_are_not_promised_but_what_contradicts_counts() -> None:
    def split(world: World) -> None:
        world.plug("node-2", "pdu-b").turn(Power.OFF)
        assert world.files.edit(NODE, ["puts", "pdu-a", "on", "level", "2"])
        world.files.read()

    async def plant(world: World) -> None:
        split(world)
        await read(world, DeviceName("pdu-b"))
        await write(world, replace(fenced(), devices=(DeviceName("pdu-b"),)))
        assert [rule.seen for rule in world.checker.rules if isinstance(rule, AnnouncedIsOff)] == [{"split feeds": 1}]

    assert "S1" not in found(plant)
    text, _ = case(split)
    assert "although pdu-a of its level, which is honest, is on" in text
