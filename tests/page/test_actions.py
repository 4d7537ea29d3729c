"""Forms do what the API does, with the API's rules."""

import pytest
from aiohttp.test_utils import make_mocked_request

from fenced.api.bodies import NoQuery
from fenced.api.call import Call
from fenced.api.callers import Principal, Role
from fenced.api.page.actions import obey
from fenced.api.page.border import Visit
from fenced.api.page.pictures import Pictures
from fenced.api.page.sessions import Session, Sessions
from fenced.api.problems import Rejection
from fenced.api.server import SERVICES
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState
from fenced.ports.control import Standby, StormView, Unavailable
from tests.api.conftest import Api
from tests.api.test_storms import LASTS
from tests.page.visitor import visitor

NODE = HostName("node-2")
OPERATOR = Principal(role=Role.OPERATOR)


async def test_power_is_cut_only_with_the_name_typed(api: Api) -> None:
    async with visitor(api) as browser:
        for typed in ("", "node-1", "NODE-2", "node-2x"):
            answer = await browser.fill("/hosts/node-2/off", "/hosts/node-2/off", typed=typed, reason="rack work")
            assert answer.status == 200
            assert "Nothing was done" in answer.text
            assert answer.form("/hosts/node-2/off").fields["reason"] == "rack work"
        assert api.control.calls == []
        answer = await browser.fill("/hosts/node-2/off", "/hosts/node-2/off", typed=" node-2 ", reason="rack work")
        assert answer.status == 303
        assert answer.location.startswith("/operations/")
    (call,) = api.control.calls
    assert (call[0], call[1], call[2], call[4], call[5]) == ("act", NODE, Action.OFF, "rack work", False)


async def test_a_living_host_is_refused_until_it_is_forced(api: Api) -> None:
    async with visitor(api) as browser:
        answer = await browser.fill("/hosts/node-1/restart", "/hosts/node-1/restart", typed="node-1")
        assert answer.status == 409
        assert "node-1 is alive" in answer.text
        assert "alive" in answer.text
        answer = await browser.fill("/hosts/node-1/restart", "/hosts/node-1/restart", typed="node-1", force="yes")
        assert answer.status == 303
    assert [call[5] for call in api.control.calls] == [False, True]


async def test_who_did_it_is_in_the_journal(guarded_api: Api) -> None:
    async with visitor(guarded_api, "work-2") as browser:
        await browser.fill("/hosts/node-2/status", "/hosts/node-2/status", reason="looks odd")
    (call,) = guarded_api.control.calls
    assert (call[3], call[4]) == ("operator", "looks odd")


async def test_a_form_that_is_sent_twice_is_obeyed_once(api: Api) -> None:
    """Its key is that of an Idempotency-Key, which the engine keeps."""
    async with visitor(api) as browser:
        form = (await browser.get("/hosts/node-2/status")).form("/hosts/node-2/status")
        for _ in range(2):
            await browser.post("/hosts/node-2/status", form.fields)
        assert len({*api.control.keys}) == 1
        other = (await browser.get("/hosts/node-2/status")).form("/hosts/node-2/status")
        await browser.post("/hosts/node-2/status", other.fields)
    assert len({*api.control.keys}) == 2


async def test_confirm_off_needs_a_reason_and_the_name(api: Api) -> None:
    page = "/hosts/node-3/confirm-off"
    async with visitor(api) as browser:
        answer = await browser.fill(page, page, typed="node-3", reason=" ")
        assert answer.status == 422
        assert "give a reason" in answer.text
        assert api.control.calls == []
        answer = await browser.fill(page, page, typed="node-3", reason="both cords are in my hand")
        assert answer.status == 303
    assert api.control.calls[-1][0] == "confirm_off"


async def test_maintenance_begins_and_ends(api: Api) -> None:
    page = "/hosts/node-1/maintenance"
    async with visitor(api) as browser:
        answer = await browser.fill(page, page, reason="new memory", until="tomorrow")
        assert answer.status == 422
        assert "until" in answer.text
        answer = await browser.fill(page, page, reason="new memory", until="2h")
        assert (answer.status, answer.location) == (303, "/hosts/node-1")
        host = await browser.get("/hosts/node-1")
        assert "new memory" in host.text
        assert "/hosts/node-1/end-maintenance" in host.reader.links
        assert "/hosts/node-1/maintenance" not in host.reader.links
        answer = await browser.fill("/hosts/node-1/end-maintenance", "/hosts/node-1/end-maintenance")
        assert answer.status == 303
        assert "new memory" not in (await browser.get("/hosts/node-1")).text


async def test_pauses_begin_and_end(api: Api) -> None:
    async with visitor(api) as browser:
        assert (await browser.fill("/pauses", "/pauses", match="cluster", reason="r")).status == 422
        assert (await browser.fill("/pauses", "/pauses", match="*", reason="")).status == 422
        assert (await browser.fill("/pauses", "/pauses", match="cluster=c1", reason="r", until="30m")).status == 303
        (pause,) = api.control.pauses
        assert (pause.match, pause.until is not None) == ("cluster=c1", True)
        end = f"/pauses/{pause.id}/end"
        assert (await browser.fill("/pauses", end, reason="done")).location == "/pauses"
    assert api.control.pauses == []


async def test_a_storm_is_released_by_who_looked(api: Api) -> None:
    api.control.storms = [StormView(storm=LASTS, silent=LASTS.hosts)]
    action = f"/storms/{LASTS.id}/release"
    async with visitor(api) as browser:
        assert (await browser.fill("/storms", action, reason="")).status == 422
        assert (await browser.fill("/storms", action, reason="its feed is broken")).status == 303
    (call,) = api.control.calls
    assert (call[0], call[1], call[3]) == ("release_storm", LASTS.id, "its feed is broken")


async def test_an_operation_is_cancelled(api: Api) -> None:
    async with visitor(api) as browser:
        begun = await browser.fill("/hosts/node-2/status", "/hosts/node-2/status")
        answer = await browser.fill(begun.location, f"{begun.location}/cancel", reason="wrong host")
        assert (answer.status, answer.location) == (303, begun.location)
    assert api.control.calls[-1][0] == "cancel"
    assert api.control.all_operations[-1].state is not OperationState.DONE


async def test_the_fleet_is_disarmed_and_armed(api: Api) -> None:
    async with visitor(api) as browser:
        assert (await browser.fill("/fleet/disarm", "/fleet/disarm", reason="storage moves")).location == "/"
        assert (await browser.fill("/fleet/arm", "/fleet/arm")).status == 303
    assert [call[0] for call in api.control.calls] == ["disarm", "arm"]


async def test_a_standby_names_who_acts(api: Api) -> None:
    api.control.failure = Standby("https://fenced-b:8470")
    async with visitor(api) as browser:
        api.control.failure = None
        form = (await browser.get("/pauses")).form("/pauses")
        api.control.failure = Standby("https://fenced-b:8470")
        answer = await browser.post("/hosts/node-2/status", form.fields)
    assert answer.status == 503
    assert "https://fenced-b:8470" in answer.reader.links


async def test_an_address_that_is_no_link_is_none(api: Api) -> None:
    """It comes out of the store, where every controller writes its own."""
    async with visitor(api) as browser:
        form = (await browser.get("/pauses")).form("/pauses")
        api.control.failure = Standby("javascript:alert(1)")
        answer = await browser.post("/hosts/node-2/status", form.fields)
    assert answer.status == 503
    assert answer.reader.links == ["/"]


async def test_a_store_that_takes_no_writes_is_told(api: Api) -> None:
    async with visitor(api) as browser:
        form = (await browser.get("/pauses")).form("/pauses")
        api.control.failure = Unavailable("the store accepts no writes")
        answer = await browser.post("/hosts/node-2/status", form.fields)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "the store accepts no writes" in answer.text


async def test_a_form_with_odd_fields_is_refused(api: Api) -> None:
    async with visitor(api) as browser:
        form = (await browser.get("/pauses")).form("/pauses")
        many = {**form.fields, **{f"f{number}": "" for number in range(60)}}
        assert (await browser.post("/pauses", many)).status == 422
        async with browser.client.post(
            f"{api.url}/pauses", data=b"{}", headers={"Origin": api.url, "Content-Type": "application/json"}
        ) as response:  # fmt: skip
            assert response.status == 415


async def test_a_form_has_the_role_of_its_route(guarded_api: Api) -> None:
    """Whatever the page's own table of addresses says."""
    async with visitor(guarded_api, "work-2") as browser:
        token = (await browser.get("/")).form("/logout").fields["form"]
        call = Visit(
            call=Call(
                services=guarded_api.app[SERVICES], request=make_mocked_request("POST", "/hosts/node-3/confirm-off"),
                principal=OPERATOR, body=None, query=NoQuery(),
            ),
            session=Session(principal=OPERATOR), sessions=Sessions(guarded_api.app[SERVICES].access),
            pictures=Pictures(), form={"form": token},
        )  # fmt: skip
    with pytest.raises(Rejection, match="needs the role admin"):
        await obey(call, "confirmOff", {"reason": "r"})
    assert guarded_api.control.calls == []
