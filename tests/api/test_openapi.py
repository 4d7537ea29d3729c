"""The OpenAPI document: valid, complete, and in step with the server."""

import re

from fenced.api.openapi import document
from fenced.api.page.routes import PAGES
from fenced.api.routes import ROUTES
from fenced.api.server import build_app
from tests.api.conftest import Api, expose
from tests.fakes.control import FakeClock, FakeControl


async def test_the_document_is_valid_and_served(api: Api) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # only the worker that runs this imports it

    async with api.client.get("/openapi.json") as response:
        assert response.status == 200
        served = await response.json()
    assert served["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(served).validate()


async def test_every_route_is_documented() -> None:
    app = build_app(FakeControl(), tokens=(), requests_per_second=10, metrics=expose, clock=FakeClock())
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"  # each GET can be sent as HEAD
    } - {(page.method, re.sub(r":[^}]*", "", page.path)) for page in PAGES}
    paths = document(ROUTES)["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert documented == served
    assert len(served) == len(ROUTES)


def test_every_path_of_the_interface_is_served() -> None:
    wanted = """
        GET /hosts | GET /hosts/{host} | GET /hosts/{host}/explain | POST /hosts/{host}/actions
        POST /hosts/{host}/confirm-off | PUT /hosts/{host}/maintenance | DELETE /hosts/{host}/maintenance
        GET /operations | GET /operations/{operation} | POST /operations/{operation}/cancel
        GET /pauses | POST /pauses | POST /store/release | DELETE /pauses/{pause} | POST /fleet/arm | POST /fleet/disarm
        GET /events | POST /health/{host}"""
    names = {tuple(line.split()) for line in re.split(r"\||\n", wanted) if line.strip()}
    served = {(route.method, route.path.removeprefix("/api/v1")) for route in ROUTES}
    assert names <= served


def test_the_document_has_enums_bounds_and_roles() -> None:
    made = document(ROUTES)
    hosts = made["paths"]["/api/v1/hosts"]["get"]
    parameters = {parameter["name"]: parameter["schema"] for parameter in hosts["parameters"]}
    assert parameters["limit"]["maximum"] == 1000
    assert "fenced" in str(parameters["state"])
    assert "admin" in made["paths"]["/api/v1/hosts/{host}/confirm-off"]["post"]["description"]
    action = made["components"]["schemas"]["ActionBody"]
    assert action["required"] == ["action"]
