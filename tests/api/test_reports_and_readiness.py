"""Health reports over HTTP, and the answers when something is missing or not ready."""

from fenced.model.names import HostName
from fenced.model.power import OperationState
from fenced.ports.bus import HealthStatus
from fenced.ports.control import Unavailable
from tests.api.conftest import Api
from tests.fakes.samples import START


async def test_health_is_accepted_as_on_the_bus(api: Api) -> None:
    async with api.client.post("/api/v1/health/node-1") as response:
        assert response.status == 204
    body = {"boot": "b-1", "seq": 17, "status": "failing", "interval": 5, "workloads": 12, "roles": ["spm"], "more": 1}
    async with api.client.post("/api/v1/health/node-1", json=body) as response:
        assert response.status == 204
    empty, full = api.control.healths
    assert (empty.host, empty.status, empty.received, empty.is_retained) == ("node-1", HealthStatus.OK, START, False)
    assert (full.boot, full.sequence, full.status, full.interval_seconds) == ("b-1", 17, HealthStatus.FAILING, 5)
    assert (full.workloads, full.roles) == (12, ("spm",))
    async with api.client.post("/api/v1/health/nobody") as response:
        assert response.status == 404


async def test_partly_readable_health_counts_as_life_and_a_non_object_is_refused(api: Api) -> None:
    body = b'{"boot":5,"seq":5.0,"workloads":"12","status":"ok","status":"failing","reason":"a\\nb"}'
    async with api.client.post("/api/v1/health/node-1", data=body) as response:
        assert response.status == 204
    [beat] = api.control.healths
    assert (beat.sequence, beat.status, beat.reason) == (5, HealthStatus.FAILING, "a b")
    assert beat.is_boot_unread and beat.unread == ("boot", "workloads")
    for rubbish in (b"[]", b"null", b'{"boot":', b'"ok"'):
        async with api.client.post("/api/v1/health/node-1", data=rubbish) as response:
            assert response.status == 422
            assert (await response.json())["errors"]


async def test_a_missing_thing_is_404_as_a_problem(api: Api) -> None:
    for method, path in (
        ("GET", "/api/v1/hosts/nobody"),
        ("GET", "/api/v1/operations/9-9"),
        ("POST", "/api/v1/alertmanager"),
        ("GET", "/nothing"),
        ("GET", "/api/v1/nothing"),
    ):
        async with api.client.request(method, path) as response:
            assert (response.status, response.content_type) == (404, "application/problem+json"), path
    async with api.client.patch("/api/v1/hosts") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"


async def test_an_unavailable_store_is_503_and_a_bug_is_500_without_internals(api: Api) -> None:
    api.control.failure = Unavailable("the store takes no writes: disk full")
    async with api.client.get("/api/v1/hosts/node-1") as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert "disk full" in (await response.json())["detail"]
    api.control.failure = RuntimeError("hunter2 in a traceback")
    async with api.client.get("/api/v1/hosts/node-1") as response:
        assert response.status == 500
        assert "hunter2" not in await response.text()
    assert api.answers == [("/api/v1/hosts/{host}", 503), ("/api/v1/hosts/{host}", 500)]


async def test_health_readiness_and_metrics(api: Api) -> None:
    async with api.client.get("/healthz") as response:
        assert response.status == 200
    async with api.client.get("/readyz") as response:
        assert response.status == 200
        readiness = await response.json()
    assert (readiness["ready"], readiness["daemon"]["armed"], readiness["daemon"]["active"]) == (True, True, True)
    assert readiness["warnings"] == list(api.control.fleet().warnings)  # a warning does not make it unready
    api.control.is_ready = False
    async with api.client.get("/readyz") as response:
        assert response.status == 503
        assert (await response.json())["not_ready"] == ["bus not connected"]
    async with api.client.get("/metrics", headers={"Accept": "text/x"}) as response:
        assert (await response.text(), response.content_type) == ("# text/x\n", "text/plain")


async def test_a_running_operation_reads_as_running(api: Api) -> None:
    async with api.client.post("/api/v1/hosts/node-2/actions", json={"action": "off"}) as response:
        name = (await response.json())["operation"]
    async with api.client.get(f"/api/v1/operations/{name}") as response:
        running = await response.json()
    assert (running["state"], running["ended"], running["token"]) == ("running", None, None)
    assert running["result"] == {
        "power": "unknown",
        "fenced": False,
        "proof": None,
        "level": None,
        "restored": "not_asked",
    }
    api.control.finish(name, OperationState.DONE)
    async with api.client.get(f"/api/v1/operations/{name}") as response:
        assert (await response.json())["state"] == "done"
    assert api.control.calls[0][1] == HostName("node-2")
