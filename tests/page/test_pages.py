"""What the pages show, and what every answer of them has."""

from dataclasses import replace

import pytest

from fenced.api.page.pictures import Filter
from fenced.api.page.routes import PAGES
from fenced.core.durable.state import FenceableLevel
from fenced.model.names import HostName
from fenced.model.power import OperationState, State
from fenced.ports.control import StormView
from fenced.ports.hosts import MappedHost
from tests.api.conftest import Api, start
from tests.api.test_storms import LASTS
from tests.page.visitor import visitor

ADDRESSES = (
    "/", "/?state=suspect", "/?show=trouble&cluster=c1", "/?name=nothing", "/hosts/node-1", "/hosts/node-2",
    "/hosts/node-1?at=10m", "/hosts/node-1/off", "/hosts/node-1/on", "/hosts/node-1/restart", "/hosts/node-1/status",
    "/hosts/node-1/confirm-off", "/hosts/node-1/maintenance", "/operations", "/operations?host=node-2",
    "/operations/1-7", "/storms", "/pauses", "/fleet/disarm", "/login",
)  # fmt: skip
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e"


async def test_every_page_keeps_to_its_policy(api: Api) -> None:
    """Nothing inline, nothing of another machine, nothing kept by a cache, no frame."""
    api.control.storms = [StormView(storm=LASTS, silent=LASTS.hosts)]
    async with visitor(api) as browser:
        for address in ADDRESSES:
            answer = await browser.get(address)
            assert answer.status == 200, (address, answer.text)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.reader.inline == [], address
            assert all(loaded.startswith("/assets/") for loaded in answer.reader.loaded), address
            assert all(link.startswith(("/", "#")) for link in answer.reader.links), address
            assert '<html lang="en">' in answer.text
            assert "<title>" in answer.text


async def test_what_others_wrote_is_text_and_nothing_else(api: Api) -> None:
    await api.control.pause(match="*", by=EVIL, reason=EVIL, until=None)
    await api.control.set_maintenance(HostName("node-1"), by=EVIL, reason=EVIL, until=None)
    api.control.all_operations = [replace(one, reason=EVIL, by=EVIL) for one in api.control.all_operations]
    api.control.storms = [StormView(storm=replace(LASTS, value=EVIL, common=(EVIL,)), silent=LASTS.hosts)]
    async with visitor(api) as browser:
        for address in ("/", "/hosts/node-1", "/hosts/node-2", "/operations", "/operations/1-7", "/storms", "/pauses"):
            answer = await browser.get(address)
            assert answer.status == 200
            assert "<script>alert" not in answer.text
            assert answer.reader.inline == [], address
            assert "\x1b" not in answer.text
            assert "\u202e" not in answer.text


async def test_an_address_with_evil_is_answered_with_text(api: Api) -> None:
    async with visitor(api) as browser:
        for address in ("/?name=%3Cscript%3Ealert(1)%3C/script%3E", "/?rack=%22%3E%3Cscript%3E", "/hosts/%3Cscript%3E",
                        "/operations?host=%3Cscript%3E", "/pauses?match=%22%3E%3Cscript%3E",
                        "/login?next=%22%3E%3Cscript%3E"):  # fmt: skip
            answer = await browser.get(address)
            assert "<script>" not in answer.text
            assert answer.reader.inline == []


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/hosts/nope", 404, "no host nope"),
        ("/hosts/node-1/fly", 404, "no action"),
        ("/operations/9-9", 404, "9-9"),
        ("/hosts/node-1?at=yesterday", 422, "at"),
    ],
)
async def test_an_error_is_a_page_with_the_words_of_the_api(api: Api, address: str, status: int, said: str) -> None:
    async with visitor(api) as browser:
        answer = await browser.get(address)
    assert answer.status == status
    assert said in answer.text
    assert "/" in answer.reader.links


async def test_without_the_page_there_is_only_the_api() -> None:
    async for api in start(has_page=False):
        async with visitor(api) as browser:
            for address in (*ADDRESSES, "/assets/page.css", "/live"):
                assert (await browser.get(address)).status == 404
            assert (await browser.get("/api/v1/hosts")).status == 200


async def test_assets_are_small_and_kept_for_ever(api: Api) -> None:
    async with visitor(api) as browser:
        page = await browser.get("/")
        for address in page.reader.loaded:
            answer = await browser.get(address)
            assert answer.status == 200
            assert "immutable" in answer.headers["Cache-Control"]
        assert len((await browser.get("/assets/page.js")).text) < 6_000
        assert len((await browser.get("/assets/page.css")).text) < 15_000
        assert (await browser.get("/assets/..%2Ftemplates%2Fbase.html")).status == 404
        assert (await browser.get("/assets/base.html")).status == 404


# -- the fleet --------------------------------------------------------------------------------------------------------


async def test_the_map_has_every_host_with_its_state(api: Api) -> None:
    async with visitor(api) as browser:
        page = await browser.get("/")
    squares = [line for line in page.text.split("<a ") if line.startswith('id="h-')]
    assert len(squares) == 4
    assert '<a id="h-node-1" class=healthy href="/hosts/node-1">node-1</a>' in page.text
    assert '<a id="h-node-3" class="suspect held" href="/hosts/node-3">node-3, suspect held</a>' in page.text


async def test_filters_are_in_the_address(api: Api) -> None:
    wanted = {
        "/?state=suspect": {"node-3"},
        "/?cluster=c1": {"node-1", "node-2"},
        "/?name=NODE-": {"node-1", "node-2", "node-3", "node-4"},
        "/?show=held": {"node-3"},
        "/?show=trouble": {"node-2", "node-3", "node-4"},
        "/?cluster=c2&state=unknown": {"node-4"},
        "/?rack=nowhere": set(),
        "/?unknown=word": {"node-1", "node-2", "node-3", "node-4"},
    }
    async with visitor(api) as browser:
        for address, names in wanted.items():
            page = await browser.get(address)
            assert page.status == 200
            found = {part.split('"')[0] for part in page.text.split('id="h-')[1:]}
            assert found == names, address
        assert (await browser.get("/?name=Node-3")).location == "/hosts/node-3"


CALM = MappedHost(
    name=HostName("n"), datacenter="", cluster="", rack="", state=State.HEALTHY, held_by=(), fenceable=None,
    is_paused=False, is_maintained=False, is_stay_off=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("show", "host"),
    [
        ("unfenceable", CALM._replace(fenceable=FenceableLevel.NONE)),
        ("trouble", CALM._replace(fenceable=FenceableLevel.NONE)),
        ("trouble", CALM._replace(state=State.FAILED)),
        ("trouble", CALM._replace(held_by=("armed",))),
        ("held", CALM._replace(held_by=("armed",))),
        ("paused", CALM._replace(is_paused=True)),
        ("maintenance", CALM._replace(is_maintained=True)),
        ("off", CALM._replace(is_stay_off=True)),
    ],
)
def test_what_is_special_can_be_shown_alone(show: str, host: MappedHost) -> None:
    chosen = Filter.of({"show": show})
    assert chosen.chooses(host)
    assert not chosen.chooses(CALM)


async def test_the_fleet_says_first_what_is_wrong(api: Api) -> None:
    api.control.storms = [StormView(storm=LASTS, silent=LASTS.hosts)]
    await api.control.pause(match="cluster=c1", by="alice", reason="switch work", until=None)
    async with visitor(api) as browser:
        page = (await browser.get("/")).text
    assert page.index("storm in rack=r7: 3 silent") < page.index("Hosts that need a look") < page.index("Map")
    assert "paused: cluster=c1" in page
    listed = page[page.index("Hosts that need a look") : page.index("Map")]
    assert "/hosts/node-3" in listed
    assert "/hosts/node-1" not in listed


# -- host and operation -----------------------------------------------------------------------------------------------


async def test_a_host_shows_its_power_its_gates_and_its_history(api: Api) -> None:
    async with visitor(api) as browser:
        page = await browser.get("/hosts/node-2")
    for word in ("pdu-a", "pdu-b", "no route to host", "Gates:", "Plan:", "/operations/1-7", "silent for 21 s"):
        assert word in page.text, word


async def test_the_past_is_shown_as_it_was_decided(api: Api) -> None:
    first = api.control.all_decisions[0]
    async with visitor(api) as browser:
        page = await browser.get(f"/hosts/{first.host}?at=0s")
        assert "As it was decided up to 0s" in page.text
        assert "decision " in page.text
        api.control.all_decisions = []
        page = await browser.get(f"/hosts/{first.host}?at=0s")
        assert "No decision" in page.text


async def test_an_operation_is_a_waterfall_with_every_error(api: Api) -> None:
    async with visitor(api) as browser:
        page = (await browser.get("/operations/1-7")).text
        for word in ("no answer from 10.9.1.1", "race px1 (tier 1)", "off via px2", "left out node-2", "off x2"):
            assert word in page, word
        assert page.count("<rect") >= 10
        assert "/operations/1-7/cancel" not in page
        started = await browser.fill("/hosts/node-2/status", "/hosts/node-2/status")
        running = await browser.get(started.location)
        assert running.has_form(f"{started.location}/cancel")
        api.control.finish(api.control.all_operations[-1].id, OperationState.FAILED)
        assert not (await browser.get(started.location)).has_form(f"{started.location}/cancel")


def test_every_address_of_the_interface_is_there() -> None:
    assert {"/", "/hosts/{host}", "/operations/{operation}", "/storms", "/pauses", "/login", "/assets/{name}"} <= {
        page.path for page in PAGES
    }
