"""docs/asyncapi.json: the topics of the bus as AsyncAPI 3, for programs that generate clients or documents from it.

    python -m tests.house.asyncapi > docs/asyncapi.json

It is made from the tables of docs/interface.md, which `test_face` compares with the topics and events of the code, and
from the code itself where that has the fields.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from fenced.api.bodies import HealthBody
from fenced.core.said.announce import state_message
from tests.house.interface import PAGE, names, rows, table
from tests.house.tree import ROOT
from tests.journal.strategies import host_state

Json = dict[str, Any]
FILE: Final = ROOT / "docs/asyncapi.json"
OF_EVERY_HOST_EVENT: Final = ("host", "operation", "token", "cause", "by", "reason", "rev")
OF_A_REPLY: Final = ("id", "host", "accepted", "operation", "rule", "why", "hosts", "short")
PARAMETERS: Final = {
    "S": ("site", "[daemon] site"),
    "HOST": ("host", "a host of the inventory, by its exact name"),
    "SOURCE": ("source", "the system that says it"),
    "NAME": ("controller", "[daemon] name of a controller"),
    "ID": ("id", "the id of a request"),
}
"""Word of a topic in interface.md -> parameter and its description."""
SAID: Final = {
    "health": "a heartbeat", "presence": "the reporter's presence", "evidence": "evidence of another system",
    "request": "a request", "reply": "an answer", "command": "an order", "event": "events", "state": "a state",
    "controller": "a controller", "info": "the daemon",
}  # fmt: skip


def document() -> Json:
    """Return the document."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    channels, operations = {}, {}
    for cells in rows("Topic"):
        topic = names(cells[0])[0]
        name = _name(topic)
        channels[name] = _channel(topic, _plain(cells[2]), _messages(name))
        for direction in ("in", "out"):
            if re.search(rf"\b{direction}\b", cells[1]):
                # In AsyncAPI 3 the document is the daemon's: it receives what comes in.
                operations[f"{'hear' if direction == 'in' else 'say'}{name[0].upper()}{name[1:]}"] = {
                    "action": "receive" if direction == "in" else "send",
                    "channel": {"$ref": f"#/channels/{name}"},
                    "summary": _plain(cells[2])[:200],
                }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fenced",
            "version": version,
            "description": "The bus of fenced (MQTT 3.1.1 or 5). docs/interface.md says what each message means.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": dict(_components())},
    }


def _name(topic: str) -> str:
    """Return the name of a channel: its words without the fixed beginning and the parameters."""
    words = [word for word in topic.split("/")[3:] if word not in PARAMETERS]
    is_of_host = topic.endswith("/HOST")
    base = words[0]
    return f"{base}OfHost" if base in {"event", "request"} and is_of_host else base


def _channel(topic: str, description: str, messages: list[str]) -> Json:
    used = {word: PARAMETERS[word] for word in topic.split("/") if word in PARAMETERS}
    address = "/".join(f"{{{PARAMETERS[word][0]}}}" if word in PARAMETERS else word for word in topic.split("/"))
    return {
        "address": address,
        "description": description,
        "parameters": {name: {"description": about} for name, about in used.values()},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _messages(channel: str) -> list[str]:
    match channel:
        case "eventOfHost":
            return [_short(event) for event in table("Event of a host")]
        case "event":
            return [_short(event) for event in table("Event of the fleet")]
        case "requestOfHost":
            return ["request"]
        case _:
            return [channel]


def _short(event: str) -> str:
    """Return `hostFenced` for `io.fenced.host.fenced`."""
    first, *others = event.removeprefix("io.fenced.").replace("_", ".").split(".")
    return first + "".join(word.capitalize() for word in others)


def _components() -> Iterator[tuple[str, Json]]:
    yield "health", _message("a heartbeat", HealthBody.model_json_schema())
    yield "presence", {"summary": SAID["presence"], "contentType": "text/plain",
                       "payload": {"type": "string", "enum": ["online", "offline"]}}  # fmt: skip
    yield "evidence", _message(SAID["evidence"], _object(_keys("evidence"), required=("kind", "alive")))
    yield "request", _message(SAID["request"], _object(_keys("request"), required=("id", "action")))
    yield "reply", _message(SAID["reply"], _object(OF_A_REPLY, required=("id", "accepted")))
    yield "command", _message(SAID["command"], _object(_keys("command")))
    yield "state", _message(SAID["state"], _object(tuple(state_message(host_state(), "fenced-a"))))
    yield "controller", _message(SAID["controller"], _object(_keys("controller")))
    yield "info", _message(SAID["info"], _object(_keys("info")))
    for event, fields in table("Event of a host").items():
        yield _short(event), _event(event, (*OF_EVERY_HOST_EVENT, *fields), is_of_host=True)
    for event, fields in table("Event of the fleet").items():
        yield _short(event), _event(event, ("rev", *fields), is_of_host=False)


EXAMPLES: Final = {"evidence": '{"kind": "maintenance"', "request": '{"id": "r-17"', "command": '{"id": "4-118"'}
"""How the example of a message begins in interface.md."""


def _keys(name: str) -> tuple[str, ...]:
    """Return the keys of a message: of its example, or of the braces in the table of topics."""
    if name in EXAMPLES:
        text = PAGE.read_text(encoding="utf-8")
        begin = text.index(EXAMPLES[name])
        return tuple(json.loads(text[begin : text.index("\n", begin)]))
    (cell,) = [cells[2] for cells in rows("Topic") if _name(names(cells[0])[0]) == name]
    found = re.search(r"`\{([^{}]*)\}`", cell)
    assert found is not None, name
    return tuple(re.findall(r'"(\w+)"', found[1]))


def _object(keys: tuple[str, ...], *, required: tuple[str, ...] | None = None) -> Json:
    return {
        "type": "object",
        "properties": {key: {} for key in keys},
        "required": list(keys if required is None else required),
    }


def _event(event: str, fields: tuple[str, ...], *, is_of_host: bool) -> Json:
    """Return an event in the structured mode of CloudEvents 1.0."""
    (about,) = [_plain(cells[2]) for head in ("Event of a host", "Event of the fleet") for cells in rows(head)
                if names(cells[0])[0] == event]  # fmt: skip
    fixed = {
        "specversion": {"const": "1.0"},
        "type": {"const": event},
        "datacontenttype": {"const": "application/json"},
    }
    texts = {key: {"type": "string"} for key in ("id", "source", *(("subject",) if is_of_host else ()))}
    payload = {
        "type": "object",
        "properties": {**fixed, **texts, "time": {"type": "string", "format": "date-time"}, "data": _object(fields)},
        "required": [*fixed, *texts, "time", "data"],
    }
    return {**_message(about or event, payload), "name": event, "contentType": "application/cloudevents+json"}


def _message(summary: str, payload: Json) -> Json:
    return {"summary": summary, "contentType": "application/json", "payload": payload}


def _plain(cell: str) -> str:
    """Return a cell of a table without its links and backquotes."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").replace("\\|", "|")


def text() -> str:
    """Return the file."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
