"""Writes the answers to requests of the bus (interface.md#bus)."""

import json

from fenced.core import commands as c
from fenced.model.answers import Accepted, RefusedBy


def payload(command: c.Reply) -> bytes:
    """Return the JSON of an answer. One to a request that names a cluster tells the hosts, any other the operation."""
    said: dict[str, object] = {"id": command.request_id}
    if command.host is not None:
        said["host"] = str(command.host)
    match command.answer:
        case Accepted() if command.host is None:
            said |= {"accepted": True, "hosts": [*command.answer.hosts], "short": command.answer.short}
        case Accepted():
            said |= {"accepted": True, "operation": command.answer.operation or None}
        case RefusedBy():
            said |= {"accepted": False, "rule": command.answer.rule, "why": command.answer.why}
    return json.dumps(said).encode()
