"""Who gives which shard to whom."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fenced.engine.sharing import Gift, gift
from fenced.ports.journal import ControllerView, HeldShard
from tests.fakes.controllers import controller

SHARDS = [f"s{number}" for number in range(8)]


def view(
    name: str, shards: int = 0, *, takes: tuple[str, ...] | None = None, is_alive: bool = True, is_self: bool = False,
    unfit: tuple[str, ...] = (),
) -> ControllerView:  # fmt: skip
    """Return a controller with so many shards of names of its own."""
    held = tuple(HeldShard(shard=f"{name}-{number}", epoch=1, since=0.0) for number in range(shards))
    shown = controller(name, is_alive=is_alive, is_self=is_self, unfit=unfit)
    return replace(shown, shards=held, report=replace(shown.report, takes=takes))


def test_one_that_has_two_more_gives_one_and_a_shard_at_rest_goes_first() -> None:
    views = [view("a", 2, is_self=True), view("b")]
    assert gift({"s1": False, "s2": True}, views) == Gift(shard="s2", to="b")
    assert gift({"s1": False, "s2": False}, views) == Gift(shard="s1", to="b")
    assert gift({"s1": True}, views) is None, "one and none is as fair as none and one"
    assert gift({"s1": True, "s2": True, "s3": True}, [view("a", 3, is_self=True), view("b", 2)]) is None


def test_nobody_gives_to_one_that_does_not_take_it() -> None:
    held = {"s1": True, "s2": True}
    for other in (
        view("b", takes=()),
        view("b", takes=("s3",)),
        view("b", is_alive=False),
        view("b", unfit=("the bus is not connected",)),
        view("b", is_self=True),
    ):
        assert gift(held, [other]) is None
    assert gift(held, [view("b", takes=("s2",))]) == Gift(shard="s2", to="b")
    assert gift(held, [view("b", takes=()), view("c", takes=("s1",))]) == Gift(shard="s1", to="c")


def test_above_its_bound_a_controller_gives_to_whoever_takes() -> None:
    held = {"s1": True, "s2": True}
    assert gift(held, [view("b", 2)], at_most=1) == Gift(shard="s1", to="b")
    assert gift(held, [view("b", 2)], at_most=2) is None


@given(st.lists(st.integers(0, 8), min_size=1, max_size=5))
def test_gifts_end_with_fair_shares(counts: list[int]) -> None:
    """Whatever the start is: each gift makes the shares more equal, and no shard goes round."""
    shares = {f"c{number}": {f"{number}-{shard}" for shard in range(count)} for number, count in enumerate(counts)}
    for _ in range(sum(counts) * len(counts) + 1):
        given_away = False
        for name, own in shares.items():
            others = [view(other, len(its), is_self=other == name) for other, its in shares.items()]
            found = gift(dict.fromkeys(own, True), others)
            if found is not None:
                own.remove(found.shard)
                shares[found.to].add(found.shard)
                given_away = True
        if not given_away:
            break
    else:
        raise AssertionError("the gifts do not end")
    sizes = [len(own) for own in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == sum(counts)
