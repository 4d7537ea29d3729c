"""The addresses of the page."""

from typing import Final

from aiohttp import web

from fenced.api.call import Services
from fenced.api.callers import Role
from fenced.api.page import entrance, fleet, holds, host, live, operation
from fenced.api.page.border import PageRoute, served
from fenced.api.page.pictures import Pictures
from fenced.api.page.sessions import Sessions
from fenced.net.bodies import not_yet

PAGES: Final = (
    PageRoute(method="GET", path="/", view=fleet.fleet),
    PageRoute(method="GET", path="/fleet/{word:arm|disarm}", view=holds.ask_fleet, role=Role.OPERATOR),
    PageRoute(method="POST", path="/fleet/{word:arm|disarm}", view=holds.do_fleet, role=Role.OPERATOR),
    PageRoute(method="GET", path="/hosts/{host}", view=host.host),
    PageRoute(method="GET", path="/hosts/{host}/{word}", view=host.ask, role=Role.OPERATOR),
    PageRoute(method="POST", path="/hosts/{host}/{word}", view=host.do, role=Role.OPERATOR),
    PageRoute(method="GET", path="/operations", view=operation.operations),
    PageRoute(method="GET", path="/operations/{operation}", view=operation.operation),
    PageRoute(method="POST", path="/operations/{operation}/cancel", view=operation.cancel, role=Role.OPERATOR),
    PageRoute(method="GET", path="/storms", view=holds.storms),
    PageRoute(method="POST", path="/storms/{storm}/release", view=holds.release, role=Role.OPERATOR),
    PageRoute(method="GET", path="/pauses", view=holds.pauses),
    PageRoute(method="POST", path="/pauses", view=holds.pause, role=Role.OPERATOR),
    PageRoute(method="POST", path="/pauses/{pause}/end", view=holds.end_pause, role=Role.OPERATOR),
    PageRoute(method="GET", path="/audit", view=holds.audit),
    PageRoute(method="GET", path="/live", view=live.live),
    PageRoute(method="GET", path="/login", view=entrance.login, role=None),
    PageRoute(method="POST", path="/login", view=entrance.enter, role=None),
    PageRoute(method="POST", path="/logout", view=entrance.leave, role=None),
    PageRoute(method="GET", path="/assets/{name}", view=entrance.assets, role=None),
)


def add(app: web.Application, services: Services) -> None:
    """Add the page to an application."""
    sessions, pictures = Sessions(services.access), Pictures()
    for route in PAGES:
        serve = served(route, services, sessions, pictures)
        app.router.add_route(route.method, route.path, serve, expect_handler=not_yet)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, serve, expect_handler=not_yet)
