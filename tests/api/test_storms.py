"""Storms over HTTP and with `fencectl`."""

from fenced.core.durable.fleet_state import Storm, StormEnd
from fenced.model.names import HostName
from fenced.ports.control import StormView
from tests.api.conftest import Api
from tests.fakes.samples import START

HOSTS = (HostName("node-1"), HostName("node-2"), HostName("node-3"))
LASTS = Storm(id="s-1-7", domain="rack", value="r7", since=START, hosts=HOSTS, common=("cluster=c1",))
OVER = Storm(
    id="s-1-3", domain="rack", value="r1", since=START - 900.0, hosts=HOSTS,
    end=StormEnd(at=START, why="released", by="p", reason="looked", hosts=HOSTS[:1], cooldown_until=START),
)  # fmt: skip


async def test_storms_that_last_come_first(api: Api) -> None:
    api.control.storms = [StormView(storm=OVER, silent=()), StormView(storm=LASTS, silent=HOSTS[:2])]
    async with api.client.get("/api/v1/storms") as response:
        items = (await response.json())["items"]
    assert [(it["id"], it["silent"]) for it in items] == [("s-1-7", ["node-1", "node-2"]), ("s-1-3", [])]
    assert (items[0]["end"], items[0]["common"]) == (None, ["cluster=c1"])
    assert (items[1]["end"]["why"], items[1]["end"]["by"]) == ("released", "p")


async def test_a_storm_is_released_with_a_reason(api: Api) -> None:
    api.control.storms = [StormView(storm=LASTS, silent=HOSTS)]
    async with api.client.post("/api/v1/storms/s-1-7/release", json={}) as response:
        assert response.status == 422
    async with api.client.post("/api/v1/storms/s-1-7/release", json={"reason": "its feed is broken"}) as response:
        assert response.status == 204
    async with api.client.post("/api/v1/storms/s-1-8/release", json={"reason": "r"}) as response:
        assert (response.status, (await response.json())["rule"]) == (409, "storm")
    (call,) = api.control.calls
    assert (call[0], call[1], call[3]) == ("release_storm", "s-1-7", "its feed is broken")
