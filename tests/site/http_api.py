"""Writes the page of the HTTP API from its OpenAPI document, as plain Markdown: no viewer, no script.

The document is what a running daemon serves as `/openapi.json`. The page is written when the site is built; it is not
in the repository.
"""

from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]
HEAD: Final = """\
# HTTP API

This page is written from the OpenAPI document of this version, which a daemon serves as `/openapi.json`. [The
interface](interface.md#http) says what the routes mean, who may use them, and what stays as it is.
"""
BOUNDS: Final = {
    "minLength": "at least {} characters", "maxLength": "at most {} characters", "minimum": "at least {}",
    "maximum": "at most {}", "exclusiveMinimum": "above {}", "exclusiveMaximum": "below {}",
    "minItems": "at least {} items", "maxItems": "at most {} items",
}  # fmt: skip


def page(document: Json) -> str:
    """Return the page: every route, then every object."""
    lines = [HEAD, "## Routes"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += _route(f"{method.upper()} {path}", operation)
    lines.append("\n## Objects")
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _object(name, schema)
    return "\n".join(lines) + "\n"


def _route(title: str, operation: Json) -> Iterator[str]:
    yield f"\n### `{title}`\n"
    yield " ".join(part for part in (operation["summary"], operation.get("description")) if part) + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| Parameter | In | Value |\n|---|---|---|"
        for each in parameters:
            yield f"| `{each['name']}` | {each['in']} | {_value(each['schema'])} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        needed = "" if body["required"] else " (may be absent)"
        yield f"Body{needed}: {_content(body['content'])}\n"
    yield "| Status | Answer |\n|---|---|"
    for status, answer in operation["responses"].items():
        yield f"| {status} {answer['description']} | {_content(answer.get('content', {}))} |"


def _content(content: Json) -> str:
    return ", ".join(
        f"{_value(each['schema'])} as `{media}`" if "schema" in each else f"`{media}`"
        for media, each in content.items()
    )


def _object(name: str, schema: Json) -> Iterator[str]:
    yield f"\n### {name}\n"
    if schema.get("description"):
        yield _in_a_cell(schema["description"]) + "\n"
    if "enum" in schema:
        yield "One of: " + ", ".join(f"`{value}`" for value in schema["enum"])
        return
    if not schema.get("properties"):
        yield _value(schema)
        return
    yield "| Field | Value | |\n|---|---|---|"
    for field, value in schema["properties"].items():
        note = "required" if field in schema.get("required", []) else _default(value)
        yield f"| `{field}` | {_value(value)} | {note} |"


def _default(value: Json) -> str:
    return f"default `{value['default']!r}`" if "default" in value else ""


def _value(schema: Json) -> str:
    """Describe one value: its type or the object's name, and its bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_value(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return ", ".join([_type(schema), *bounds])


def _type(schema: Json) -> str:
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_value(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_value(schema['additionalProperties'])}"
    return str(kind)


def _in_a_cell(text: str) -> str:
    return " ".join(text.split())
