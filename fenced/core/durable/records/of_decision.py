"""The record of one decision about one host: why it was, was not, or would be fenced."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.decision import Confirmation, Fact, OpenGate, Plan, Ruling, ShutGate
from fenced.model.names import OperationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The outcome, or the set of closed gates, of a host changed. It changes no state: it explains the records beside
    it, which do.

    `id`: unique among the decisions of the host. `policy`: the digest of the configuration in force; "": no file made
    it. `operation`: what began, None if nothing did. `plan`: None where no fence was in question.
    """

    id: str
    outcome: Ruling
    inputs: tuple[Fact, ...]
    confirm: tuple[Confirmation, ...]
    shut: tuple[ShutGate, ...]
    opened: tuple[OpenGate, ...]
    policy: str
    plan: Plan | None = None
    operation: OperationId | None = None
    kind: Literal["decided"] = "decided"
