"""The OpenAPI 3.1 document, built from the route table and the models, so that it can't differ from what is served.

Write nothing here by hand that a route or a model already says.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from fenced import __version__
from fenced.api import tags
from fenced.api.call import Route
from fenced.api.problems import CONTENT_TYPE
from fenced.api.shapes import Problem

REF: Final = "#/components/schemas/{model}"
EVERYWHERE: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY)
"""A foreign Host header, a compressed body, an unknown name in the query."""
COMMON_ERRORS: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR)
BODY_ERRORS: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
ROLE_ERRORS: Final = (HTTPStatus.UNAUTHORIZED,)
Json = dict[str, Any]
_IF_NONE_MATCH: Final = {
    "name": tags.HEADER, "in": "header", "schema": {"type": "string"},
    "description": "The ETag of an answer that the caller has: 304 if it still holds",
}  # fmt: skip
_LAST_HEARD: Final = "Nothing changed but `last_heard` of hosts"


def document(routes: Iterable[Route]) -> Json:
    """The whole document."""
    table = tuple(routes)
    paths: Json = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fenced", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": _schemas(table),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(table: tuple[Route, ...]) -> Json:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for route in table:
        if route.answer is not None:
            wanted.append((route.answer, "serialization"))
        if route.body is not None:
            wanted.append((route.body, "validation"))
    _, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REF)
    found = schemas["$defs"]
    assert isinstance(found, dict)
    return found


def _operation(route: Route) -> Json:
    made: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {str(int(route.status)): _answer(route), **_unchanged(route), **_errors(route)},
    }
    parameters = [*_path_parameters(route), *_query_parameters(route)]
    if route.is_tagged:
        parameters.append(_IF_NONE_MATCH)
    if parameters:
        made["parameters"] = parameters
    if route.body is not None:
        made["requestBody"] = {
            "required": route.is_body_needed,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    if route.role is not None:
        made["security"] = [{}, {"token": []}]
        made["description"] = f"Needs the role `{route.role.name.lower()}` or a higher one, if tokens are configured."
    return made


def _unchanged(route: Route) -> Json:
    """Return the 304 of a route with entity tags."""
    status = HTTPStatus.NOT_MODIFIED
    return (
        {str(int(status)): {"description": _LAST_HEARD if route.is_versioned else status.phrase}}
        if route.is_tagged
        else {}
    )


def _answer(route: Route) -> Json:
    made: Json = {"description": route.status.phrase}
    if route.is_tagged:
        made["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "A weak entity tag of this answer"}}
    if route.answer is not None:
        made["content"] = {route.media: {"schema": _ref(route.answer)}}
    elif route.status is not HTTPStatus.NO_CONTENT:
        made["content"] = {route.media: {}}
    return made


def _errors(route: Route) -> Json:
    statuses = {*route.errors, *EVERYWHERE}
    if route.is_limited:
        statuses.update(COMMON_ERRORS)
    if route.role is not None:
        statuses.update(ROLE_ERRORS)
    if route.body is not None:
        statuses.update(BODY_ERRORS)
    content = {CONTENT_TYPE: {"schema": _ref(Problem)}}
    return {str(int(status)): {"description": status.phrase, "content": content} for status in sorted(statuses)}


def _path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"\{(\w+)\}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[Json]:
    schema: dict[str, JsonValue] = route.query.model_json_schema(ref_template="#/$defs/{model}")
    defs = schema.get("$defs", {})
    properties = schema.get("properties", {})
    assert isinstance(defs, dict) and isinstance(properties, dict)
    return [{"name": name, "in": "query", "schema": _inline(spec, defs)} for name, spec in properties.items()]


def _inline(spec: JsonValue, defs: dict[str, JsonValue]) -> JsonValue:
    """Put the enums of a query in place, because a query has no component in the document."""
    if isinstance(spec, dict):
        target = spec.get("$ref")
        if isinstance(target, str):
            return defs[target.removeprefix("#/$defs/")]
        return {key: _inline(part, defs) for key, part in spec.items()}
    if isinstance(spec, list):
        return [_inline(part, defs) for part in spec]
    return spec


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": REF.format(model=model.__name__)}
