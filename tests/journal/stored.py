"""Lists what a store holds, name by name: the fields of each stored type, and the values of each enumeration.

`stores/stored.txt` has the list of the newest format. An older program can read nothing with a name that it does not
know, so a new name needs a new format, which makes that program refuse the store.
"""

from typing import Any

from pydantic import TypeAdapter

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Record
from fenced.core.durable.restricting import Said
from fenced.core.durable.state import HostState, Operation


def stored() -> list[str]:
    """Return one line for each type: its name, and what may be in it."""
    types: dict[str, dict[str, Any]] = {}
    roots: tuple[Any, ...] = (HostState, Operation, FleetState, Record, Said)
    for each in roots:
        schema = TypeAdapter[Any](each).json_schema()
        types |= schema.pop("$defs", {})
        if "title" in schema:
            types[schema["title"]] = schema
    return sorted(f"{name}: {' '.join(_names(of))}" for name, of in types.items())


def _names(of: dict[str, Any]) -> list[str]:
    """Return the fields of a dataclass with their constants (a record's kind), or the values of an Enum."""
    fields: dict[str, dict[str, Any]] = of.get("properties", {})
    named = [f"{name}={field['const']}" if "const" in field else name for name, field in fields.items()]
    return named + [str(value) for value in of.get("enum", ())]
