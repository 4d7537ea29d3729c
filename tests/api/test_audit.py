"""Who asked for what: from records to the API, `fencectl` and the page."""

from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.asked import asked
from fenced.core.durable.fleet_state import Pause, StormEnd
from fenced.core.durable.state import Slot
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, Cause, OperationState, State
from tests.api.conftest import Api
from tests.api.ctl import ctl
from tests.fakes.samples import START, finished_restart
from tests.page.visitor import visitor

NODE = HostName("node-1")
ALICE = "alice (token, operator)"
OFF = replace(finished_restart(), id=OperationId("4-1"), action=Action.OFF, by=ALICE, reason="rack work")
OWN = replace(finished_restart(), id=OperationId("4-2"), by="fenced", reason="silent for 21 s")
PAUSE = Pause(id="p1", match="rack=r7", by=ALICE, reason="switch work", since=START, until=None)
END = StormEnd(at=START, why="released", by=ALICE, reason="looked", hosts=(), cooldown_until=START)
REFUSED = r.RequestRefused(action="restart", by="bob", reason="", rule="alive", why="node-1 is alive")


def ended(why: str) -> r.EndingDecided:
    return r.EndingDecided(operation=OFF.id, ending=OperationState.CANCELLED, is_on_forbidden=False, why=why)


@pytest.mark.parametrize(
    ("record", "what", "by", "reason"),
    [
        (r.OperationStarted(operation=OFF, slot=Slot.RUNNING), "off", ALICE, "rack work"),
        (
            r.OperationJoined(operation=OFF.id, by="bob", reason="too", action=Action.OFF, cause=Cause.REQUEST),
            "off", "bob", "too",
        ),
        (
            ended("cancelled by bob: wrong host"),
            "cancel", "bob", "wrong host",
        ),
        (ended("cancelled by bob"), "cancel", "bob", ""),
        (REFUSED, "restart", "bob", "node-1 is alive"),
        (r.PauseSet(pause=PAUSE), "pause_set rack=r7", ALICE, "switch work"),
        (r.PauseEnded(id="p1", by="bob"), "pause_ended p1", "bob", ""),
        (r.StormEnded(id="s1", end=END), "storm_ended", ALICE, "looked"),
        (r.Armed(by="bob", reason="a week"), "armed", "bob", "a week"),
    ],
)  # fmt: skip
def test_what_a_person_asked_for_is_found(record: r.Record, what: str, by: str, reason: str) -> None:
    found = asked(record)
    assert found is not None
    assert (found.what, found.by, found.reason) == (what, by, reason)


@pytest.mark.parametrize(
    "record",
    [
        r.OperationStarted(operation=OWN, slot=Slot.RUNNING),
        r.EndingDecided(
            operation=OWN.id, ending=OperationState.CANCELLED, is_on_forbidden=False, why="the host was heard"
        ),
        r.PauseEnded(id="p1", by=""),
        r.StormEnded(id="s1", end=replace(END, by="", why="over")),
        r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None),
    ],
)
def test_what_the_daemon_did_by_itself_is_no_request(record: r.Record) -> None:
    assert asked(record) is None


@pytest.fixture
def requests(api: Api) -> None:
    records: tuple[tuple[HostName | None, r.Record], ...] = (
        (NODE, r.OperationStarted(operation=OFF, slot=Slot.RUNNING)),
        (NODE, r.OperationStarted(operation=OWN, slot=Slot.RUNNING)),
        (None, r.PauseSet(pause=PAUSE)),
        (NODE, REFUSED),
    )
    api.control.requests = [r.Entry(at=START + n, host=host, record=one) for n, (host, one) in enumerate(records)]


@pytest.mark.usefixtures("requests")
async def test_the_api_lists_them_newest_first_page_by_page(api: Api) -> None:
    seen, after = [], ""
    for _ in range(3):
        async with api.client.get(f"/api/v1/audit?limit=1{after}") as response:
            page = await response.json()
        seen += [(item["what"], item["host"], item["refused"]) for item in page["items"]]
        after = f"&after={page['next']}"
    assert seen == [("restart", "node-1", "alive"), ("pause set rack=r7", None, None), ("off", "node-1", None)]
    assert page["next"] is None
    for wrong in ("x", "1;2", ""):
        async with api.client.get(f"/api/v1/audit?after={wrong}") as response:
            assert response.status in {404, 422}


@pytest.mark.usefixtures("requests")
async def test_fencectl_and_the_page_show_them(api: Api) -> None:
    run = await ctl(api.url, "audit")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[1].split()[2:4] == ["bob", "restart"]
    assert "refused (alive): node-1 is alive" in lines[1]
    assert "rack work" in lines[3]
    assert len(lines) == 4
    assert len((await ctl(api.url, "audit", "--limit", "1", "--json")).json["items"]) == 1
    async with visitor(api) as browser:
        page = await browser.get("/audit")
        assert page.status == 200
        assert page.text.index("bob") < page.text.index("rack=r7") < page.text.index("rack work")
        assert "/operations/4-1" in page.reader.links
        assert (await browser.get("/audit?after=x")).status in {404, 422}


async def test_nobody_asked_for_anything(api: Api) -> None:
    assert (await ctl(api.url, "audit")).out == "nobody asked for anything\n"
    assert State.HEALTHY in {state.state for state in api.control.states.values()}
