"""fencectl with two controllers that hold a shard each: fenced-a holds main (node-1, node-3), fenced-b dc2."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from fenced.api.server import build_app, serve
from fenced.cli.fencectl.client import NotEverywhere, Unreachable
from fenced.cli.fencectl.controllers import Controllers
from fenced.cli.fencectl.overview import Level, Others, judged
from fenced.core.durable.fleet_state import Storm
from fenced.model.names import HostName
from fenced.ports.control import StormView, Unavailable
from tests.api.conftest import expose
from tests.api.ctl import ctl
from tests.api.installation import call, controllers
from tests.fakes.control import FakeClock
from tests.fakes.shards import Shards
from tests.net import free_port


@dataclass(kw_only=True)
class Split:
    """Two controllers of one store; each follows what the other one holds."""

    a: Shards
    b: Shards
    a_url: str
    b_url: str

    @property
    def both(self) -> str:
        return f"{self.b_url},{self.a_url}"

    @property
    def armed(self) -> dict[str, bool]:
        """By shard, as its holder has it."""
        return {"main": self.a.fakes["main"].is_armed, "dc2": self.b.fakes["dc2"].is_armed}


@contextlib.asynccontextmanager
async def listening(shards: Shards) -> AsyncIterator[str]:
    app = build_app(
        shards.control, tokens=(), requests_per_second=1000, has_tcp_writes=True, metrics=expose, clock=FakeClock()
    )
    async with serve(app, "127.0.0.1:0") as serving:
        yield serving.url


@pytest.fixture
async def split() -> AsyncIterator[Split]:
    a, b = Shards(), Shards()
    async with listening(a) as a_url, listening(b) as b_url:
        a.follow("dc2", b_url)
        b.follow("main", a_url)
        a.name("fenced-a", "fenced-b", address=a_url, other_address=b_url)
        b.name("fenced-b", "fenced-a", address=b_url, other_address=a_url)
        yield Split(a=a, b=b, a_url=a_url, b_url=b_url)


def disarm_all(client: Controllers) -> None:
    client.send_to_all("POST", "fleet", "disarm", body={}, is_loosening=False)


async def test_a_change_of_a_host_goes_to_the_holder_of_its_shard_whoever_answered_before(split: Split) -> None:
    def four(client: Controllers) -> None:
        for host in ("node-1", "node-2", "node-3", "node-4"):
            client.send("PUT", "hosts", host, "maintenance", body={"reason": "disks"})

    for urls in ((split.a_url,), (split.b_url,), (split.b_url, split.a_url)):
        await call(controllers(*urls), four)
    assert [found[1] for found in split.a.fakes["main"].calls] == ["node-1", "node-3"] * 3
    assert [found[1] for found in split.b.fakes["dc2"].calls] == ["node-2", "node-4"] * 3
    assert split.a.fakes["dc2"].calls == split.b.fakes["main"].calls == []


@pytest.mark.parametrize("whom", ["a", "b", "both"])
async def test_the_whole_fleet_is_disarmed_and_armed_over_both(split: Split, whom: str) -> None:
    url = {"a": split.a_url, "b": split.b_url, "both": split.both}[whom]
    run = await ctl(url, "disarm", "--reason", "test")
    assert (run.code, "disarmed" in run.out) == (0, True), run
    assert split.armed == {"main": False, "dc2": False}
    run = await ctl(url, "--json", "arm", "--yes")
    assert (run.code, run.json["armed"]) == (0, True), run
    assert {one["shard"]: one["active"] for one in run.json["shards"]} == {"main": True, "dc2": True}
    assert split.armed == {"main": True, "dc2": True}


async def test_a_shard_that_does_not_obey_is_named_and_the_others_do(split: Split) -> None:
    split.b.fakes["dc2"].disarm_failure = Unavailable("its store is away")
    run = await ctl(split.a_url, "disarm", "--reason", "test")
    assert (run.code, "dc2" in run.err, "its store is away" in run.err) == (4, True, True)
    assert split.armed == {"main": False, "dc2": True}


async def test_a_refusal_of_one_shard_is_a_refusal(split: Split) -> None:
    for shards in (split.a, split.b):
        for fake in shards.fakes.values():
            fake.is_armed = False
    split.b.fakes["dc2"].is_armed_by_file = False
    run = await ctl(split.a_url, "arm", "--yes")
    assert (run.code, "refused (armed)" in run.err, "shard dc2" in run.err) == (3, True, True), run
    assert split.armed == {"main": False, "dc2": False}, "no shard is armed after one that refused"
    split.b.fakes["dc2"].is_armed_by_file, split.a.fakes["main"].is_armed_by_file = True, False
    run = await ctl(split.b_url, "arm", "--yes")
    assert (run.code, "shard main" in run.err, "done in shard dc2" in run.err) == (3, True, True), run


async def test_a_holder_that_is_away_is_told_with_its_shard(split: Split) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    split.a.follow("dc2", away)
    with pytest.raises(Unreachable, match="dc2"):
        await call(controllers(split.a_url), disarm_all)
    assert split.armed == {"main": False, "dc2": True}
    split.a.follow("dc2", "file:///etc/passwd")  # nonsense is not followed; the other address in --url holds it
    run = await ctl(f"{split.a_url},{split.b_url}", "disarm", "--reason", "test")
    assert (run.code, split.armed) == (0, {"main": False, "dc2": False}), run


async def test_a_plain_change_is_not_sent_again_for_single_shards(split: Split) -> None:
    with pytest.raises(NotEverywhere) as found:
        await call(controllers(split.a_url), lambda client: client.send("POST", "pauses", body={"reason": "switch"}))
    assert found.value.missing == {"dc2": split.b_url}
    assert len(split.a.fakes["main"].pauses) == 1
    assert split.b.fakes["dc2"].pauses == []
    run = await ctl(split.a_url, "resume", "--reason", "test")
    assert (run.code, split.a.fakes["main"].pauses) == (0, []), run


async def test_resume_ends_a_pause_at_both(split: Split) -> None:
    for shards in (split.a, split.b):
        standby = {name: fake.standby for name, fake in shards.fakes.items()}
        for fake in shards.fakes.values():
            fake.standby = None
        await shards.control.pause(match="*", by="alice", reason="switch", until=None, pause_id="p-1")
        for name, fake in shards.fakes.items():
            fake.standby = standby[name]
    run = await ctl(split.a_url, "resume", "--reason", "test")
    assert run.code == 0, run
    assert split.a.fakes["main"].pauses == split.b.fakes["dc2"].pauses == []


async def test_the_store_is_released_where_it_is_in_doubt(split: Split) -> None:
    for shards in (split.a, split.b):
        shards.fakes["dc2"].store_hold = "record 7 is gone"
    run = await ctl(split.a_url, "release", "store", "--reason", "looked")
    assert (run.code, split.b.fakes["dc2"].store_hold) == (0, ""), run


async def test_storms_of_one_domain_in_several_shards_are_all_released(split: Split) -> None:
    for shards in (split.a, split.b):
        for number, name in enumerate(("main", "dc2")):
            storm = Storm(id=f"s-1-{number}-7", domain="feed", value="a", since=0.0, hosts=())
            shards.fakes[name].storms = [StormView(storm=storm, silent=(HostName(f"in-{name}"),))]
    run = await ctl(split.a_url, "release", "feed=a", "--reason", "looked")
    assert (run.code, "in-dc2, in-main" in run.out) == (0, True), run
    assert [call[:2] for call in split.a.fakes["main"].calls] == [("release_storm", "s-1-0-7")]
    assert [call[:2] for call in split.b.fakes["dc2"].calls] == [("release_storm", "s-1-1-7")]


async def test_a_shard_is_handed_over_by_its_holder(split: Split) -> None:
    run = await ctl(split.a_url, "hand-over", "--shard", "dc2", "--to", "fenced-a", "--reason", "upgrade")
    assert run.code == 0, run
    assert [found[:3] for found in split.b.fakes["dc2"].calls] == [("hand_over", "dc2", "fenced-a")]


async def test_controllers_and_status_show_the_shards(split: Split) -> None:
    run = await ctl(split.both, "controllers")
    first, second = run.out.splitlines()[1:]
    assert ("fenced-a" in first, "main (epoch" in first, "fenced-b" in second, "dc2 (epoch" in second) == (True,) * 4
    run = await ctl(split.both, "status")
    shards = next(line.split() for line in run.out.splitlines() if line.split()[0] == "shards")
    assert " ".join(shards) == "shards dc2 fenced-b, main fenced-a"
    split.a.fakes["dc2"].is_armed = split.b.fakes["dc2"].is_armed = False
    run = await ctl(split.both, "status")
    assert "not armed in shard dc2" in run.out


async def test_status_is_critical_if_nobody_holds_a_shard(split: Split) -> None:
    for shards in (split.a, split.b):
        for fake in shards.fakes.values():
            fake.controller_views = fake.controller_views[:1]  # fenced-a
    run = await ctl(split.both, "--json", "status")
    assert (run.code, run.json["level"]) == (2, "critical")
    run = await ctl(split.both, "status")
    assert "no controller holds shard dc2" in run.out


def test_the_holders_that_the_store_names_now_are_shown() -> None:
    """A standby's own view is up to a third of a lease old: after a hand-over it names the former holder, or none."""
    shards = [{"shard": shard, "armed": True} for shard in ("dc2", "main")]
    daemon = {
        "name": "fenced-a", "site": "s", "epoch": 0, "active": False, "standby": True, "armed": True, "quiet": False,
        "bus_connected": True, "store_held": "", "shards": shards, "holders": {"main": "fenced-a"},
    }  # fmt: skip
    held = {"name": "fenced-b", "state": "active", "fit": True, "shards": shards}
    level, lines = judged({"daemon": daemon, "not_ready": [], "warnings": []}, [], Others(controllers=[held]))
    assert level is Level.OK
    assert "  shards    dc2 fenced-b, main fenced-b" in lines
