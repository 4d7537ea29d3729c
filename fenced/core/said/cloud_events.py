"""The type and data of CloudEvents, before a host's common fields are added."""

from typing import Any, Final

from fenced.core.durable.state import GateVerdict

HOST: Final = "io.fenced.host."
OPERATION: Final = "io.fenced.operation."
DRILL: Final = "io.fenced.drill."
FLEET: Final = "io.fenced.fleet."

Data = dict[str, Any]
CloudEvents = list[tuple[str, Data]]


def gate(verdict: GateVerdict) -> Data:
    return {"gate": verdict.gate, "open": verdict.is_open, "why": verdict.why}
