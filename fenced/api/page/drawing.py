"""Templates: their environment, filters and assets. Everything that is shown is escaped, and on one line."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fenced.api.call import Call
from fenced.api.shapes import Shape
from fenced.model.bars import short
from fenced.model.text import one_line, some

HERE: Final = Path(__file__).parent
ASSETS: Final[Mapping[str, str]] = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Name -> content type."""


@cache
def asset(name: str) -> bytes:
    """Return the content of an asset."""
    return (HERE / "assets" / name).read_bytes()


@cache
def asset_address(name: str) -> str:
    """Return its address, another one for each content, so that browsers may keep it for ever."""
    return f"/assets/{name}?v={hashlib.sha256(asset(name)).hexdigest()[:12]}"


@cache
def environment() -> Environment:
    """Return the environment; its templates are compiled once."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_finalized, auto_reload=False,
    )  # fmt: skip
    made.filters |= {"time": time, "short": short, "some": some}
    made.globals["asset"] = asset_address
    return made


def draw(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a template."""
    return environment().get_template(template).render(values)


def _finalized(value: object) -> object:
    """Show text of others on one line and without control characters."""
    return one_line(value) if type(value) is str else value


def time(stamp: str | None) -> str:
    """Return an element with a time. Without script it is UTC; the script shows it in the reader's zone."""
    if not stamp:
        return "-"
    at = datetime.fromisoformat(stamp)
    return Markup('<time datetime="{}">{}</time>').format(stamp, f"{at:%Y-%m-%d %H:%M:%S} UTC")


def dumped(call: Call, shape: Shape) -> dict[str, Any]:
    """Return a shape as the API's JSON."""
    return shape.model_dump(mode="json", context={"wall": call.services.wall})
