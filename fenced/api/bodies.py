"""What the API is asked: one model per request body and query, with every bound.

Knows no engine. One rule: unknown keys of a body are ignored (INTERFACE section 1), but told as a warning where the
answer has room; values are never coerced from another JSON type.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from fenced.api.times import parse_until
from fenced.core.allowed import match as selection
from fenced.model.power import Action, OperationState, State
from fenced.ports.bus import HealthStatus

TEXT_MAX: Final = 1000
NAME_MAX: Final = 64
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000


_UNSEEN: Final = (
    r"\u0000-\u001f\u007f-\u009f\u00ad"  # C0, DEL, C1, the soft hyphen
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # line ends, directions and other marks that nobody sees
)
"""Characters that would let a reason forge lines of logs and terminals. All patterns are ECMA 262, as JSON Schema wants it."""
LINE: Final = f"^[^{_UNSEEN}]*$"
SAID: Final = rf"^[^{_UNSEEN}]*[^{_UNSEEN}\s][^{_UNSEEN}]*$"
_WORD: Final = rf" *({'|'.join(selection.KEYS)}) *= *[^{_UNSEEN}\s,][^{_UNSEEN},]*"
MATCH: Final = rf"^( *\* *|{_WORD}(,{_WORD})*)$"
DURATION: Final = r"^([0-9]{1,12}([.][0-9]{1,9})?(ms|s|m|h|d))+$"


def _one_line(text: str) -> str:
    if re.fullmatch(LINE, text) is None:
        raise ValueError("one line of printable text, please")
    return text.strip()


def _expression(text: str) -> str:
    """One that can be read; whether it selects anybody is the engine's to say. BadMatch is a ValueError."""
    selection.parse(text)
    if re.fullmatch(MATCH, text) is None:
        raise ValueError("blanks around words are the only white space here")
    return text


def _said(text: str) -> str:
    if not text:
        raise ValueError("say why: it is kept in the journal")
    return text


def _until(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    assert isinstance(info.context, dict), "bodies are validated with {'now': ..., 'ahead_seconds': ...}"
    return parse_until(value, info.context["now"], info.context["ahead_seconds"])


def _shaped(most: int, pattern: str) -> Any:
    """A text's bounds. The document tells the pattern; a validator beside it says in words what is wrong."""
    return Field(max_length=most, json_schema_extra={"pattern": pattern})


Line = Annotated[str, _shaped(TEXT_MAX, LINE), AfterValidator(_one_line)]
Reason = Annotated[str, _shaped(TEXT_MAX, SAID), AfterValidator(_one_line), AfterValidator(_said)]
By = Annotated[str, _shaped(NAME_MAX, LINE), AfterValidator(_one_line)]
_UNTIL_SCHEMA: Final = {
    "anyOf": [{"type": "string", "pattern": DURATION}, {"type": "string", "format": "date-time"}, {"type": "null"}],
    "description": "RFC 3339 time with offset, or a duration such as 2h; later than now, by 366 days at most. "
    "null: until a person ends it",
}
Until = Annotated[float | None, BeforeValidator(_until), WithJsonSchema(_UNTIL_SCHEMA)]


def _no_number(value: object) -> object:
    """`until` is text or null: a bare number could be seconds from now or since the epoch."""
    if value is not None and not isinstance(value, str):
        raise ValueError('text such as "2h" or "2026-01-31T08:00:00Z", or null')
    return value


UntilText = Annotated[Until, BeforeValidator(_no_number)]


class Body(BaseModel):
    """A request's JSON object."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class ByBody(Body):
    """`by`: who asks, where the header X-Fenced-By or the token does not say it."""

    by: By = ""


class ActionBody(ByBody):
    """An action on a host. `force`: also where the host is alive."""

    action: Annotated[Action, Field(strict=False)]
    reason: Line = ""
    force: bool = False


class ConfirmOffBody(ByBody):
    """A person states that the host is off. `force` overrides all but a device that reads ON; it needs `host`, the name
    again."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"force": {"const": True}}, "required": ["force"]},
            "then": {"properties": {"host": {"type": "string"}}, "required": ["host"]},
        }
    )
    reason: Reason
    force: bool = False
    host: Annotated[str, Field(max_length=253, description="the name in the address, and no other")] | None = None


class MaintenanceBody(ByBody):
    """Leave the host alone."""

    reason: Reason
    until: UntilText = None


class PauseBody(ByBody):
    """Pause automatic fencing. `match`: `*`, or `key=value` words joined by commas."""

    match: Annotated[str, _shaped(TEXT_MAX, MATCH), AfterValidator(_one_line), AfterValidator(_expression)] = "*"
    reason: Reason
    until: UntilText = None


class ReasonBody(ByBody):
    """Why, if the caller wants to say it."""

    reason: Line = ""


class ReleaseBody(ByBody):
    """Let the store decide that is in doubt. `reason`: what a person looked at."""

    reason: Reason


def _anything(schema: dict[str, Any]) -> None:
    """Each field as it is read, or anything else, which is ignored."""
    for name, field in schema["properties"].items():
        schema["properties"][name] = {"anyOf": [field, {"description": "ignored"}]}


class HealthBody(Body):
    """The bus's `health/HOST` message: every field optional, null as good as absent, one that can't be read ignored."""

    model_config = ConfigDict(json_schema_extra=_anything)
    boot: Annotated[str, Field(max_length=128)] | None = None
    reporter: Annotated[str, Field(max_length=128)] | None = None
    seq: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    status: Annotated[HealthStatus, Field(strict=False)] | None = None
    interval: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    workloads: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    roles: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=64, strict=False)] | None = (
        None
    )
    reason: str | None = None


class Query(BaseModel):
    """The part after `?`; an unknown word there is a fault, for a filter that is ignored answers another question."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PageQuery(Query):
    """A page. `after`: `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    after: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class HostsQuery(PageQuery):
    """Which hosts."""

    state: State | None = None
    cluster: Annotated[str, Field(max_length=253)] | None = None


class OperationsQuery(PageQuery):
    """Which operations."""

    host: Annotated[str, Field(max_length=253)] | None = None
    state: OperationState | None = None
    after: Annotated[str, Field(pattern=r"^[0-9-]{1,32}$")] | None = None


class NoQuery(Query):
    """Nothing after `?`."""


def unknown_keys(model: type[BaseModel], given: Any) -> tuple[str, ...]:
    """Keys of a body that its model does not know, at most eight of them, each cut short."""
    if not isinstance(given, dict):
        return ()
    unknown = [str(key)[:NAME_MAX] for key in given if key not in model.model_fields]
    return tuple(unknown[:8])
