"""Request bodies and queries: one pydantic model each, with every limit.

It knows no engine. Unknown keys of a body are ignored (interface.md) and reported as a warning where the answer
has room for one. Values are never converted from another JSON type.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from fenced.api.times import parse_until
from fenced.core.allowed import match as selection
from fenced.model.power import Action
from fenced.ports.bus import HealthStatus

TEXT_MAX: Final = 1000
NAME_MAX: Final = 64
PATH_MAX: Final = 4096
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000


_UNSEEN: Final = (
    r"\u0000-\u001f\u007f-\u009f\u00ad"  # C0, DEL, C1, the soft hyphen
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # line separators, text directions, invisible marks
)
"""Characters that could forge lines in logs and terminals. All patterns are ECMA 262, as JSON Schema requires."""
LINE: Final = f"^[^{_UNSEEN}]*$"
SAID: Final = rf"^[^{_UNSEEN}]*[^{_UNSEEN}\s][^{_UNSEEN}]*$"
_WORD: Final = rf" *({'|'.join(selection.KEYS)}) *= *[^{_UNSEEN}\s,][^{_UNSEEN},]*"
MATCH: Final = rf"^( *\* *|{_WORD}(,{_WORD})*)$"
DURATION: Final = r"^([0-9]{1,12}([.][0-9]{1,9})?(ms|s|m|h|d))+$"


def _one_line(text: str) -> str:
    if re.fullmatch(LINE, text) is None:
        raise ValueError("use one line of printable text")
    return text.strip()


def _expression(text: str) -> str:
    """Check the syntax only; the engine says whether it selects a host. BadMatch is a ValueError."""
    selection.parse(text)
    if re.fullmatch(MATCH, text) is None:
        raise ValueError("use no white space but blanks around the words")
    return text


def _said(text: str) -> str:
    if not text:
        raise ValueError("give a reason; it is kept in the journal")
    return text


def _until(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    assert isinstance(info.context, dict), "bodies are validated with {'now': ..., 'ahead_seconds': ...}"
    return parse_until(value, info.context["now"], info.context["ahead_seconds"])


def _shaped(most: int, pattern: str) -> Any:
    """Bound a text. The schema shows the pattern; the validator beside it explains a mistake in words."""
    return Field(max_length=most, json_schema_extra={"pattern": pattern})


Line = Annotated[str, _shaped(TEXT_MAX, LINE), AfterValidator(_one_line)]
Reason = Annotated[str, _shaped(TEXT_MAX, SAID), AfterValidator(_one_line), AfterValidator(_said)]
By = Annotated[str, _shaped(NAME_MAX, LINE), AfterValidator(_one_line)]
SHARD: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""The name of a shard or a controller."""
SHARD_MAX: Final = 253
ShardName = Annotated[str, Field(max_length=SHARD_MAX, pattern=SHARD)]
_UNTIL_SCHEMA: Final = {
    "anyOf": [{"type": "string", "pattern": DURATION}, {"type": "string", "format": "date-time"}, {"type": "null"}],
    "description": "RFC 3339 time with offset, or a duration such as 2h; later than now, by 366 days at most. "
    "null: until an operator ends it",
}
Until = Annotated[float | None, BeforeValidator(_until), WithJsonSchema(_UNTIL_SCHEMA)]


def _no_number(value: object) -> object:
    """Reject a bare number: it could mean seconds from now or seconds since the epoch."""
    if value is not None and not isinstance(value, str):
        raise ValueError('use text such as "2h" or "2026-01-31T08:00:00Z", or null')
    return value


UntilText = Annotated[Until, BeforeValidator(_no_number)]


class Body(BaseModel):
    """A request's JSON object."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class ByBody(Body):
    """`by`: the caller's name; it takes precedence over the header X-Fenced-By."""

    by: By = ""


def _asked(action: Action) -> Action:
    if action not in ASKED_ACTIONS:
        raise ValueError("use POST saving/wake, which wakes hosts of a cluster, or the action `on` of this host")
    return action


ASKED_ACTIONS: Final = tuple(action for action in Action if action is not Action.WAKE)
"""What can be requested of one host. Waking chooses among the hosts of a cluster; `on` gives a sleeper its power."""
_ACTION_SCHEMA: Final = {"type": "string", "enum": [action.value for action in ASKED_ACTIONS]}


class ActionBody(ByBody):
    """An action on a host. `force`: even if the host is alive. `sleep` asks an idle host to shut down."""

    action: Annotated[Action, Field(strict=False), AfterValidator(_asked), WithJsonSchema(_ACTION_SCHEMA)]
    reason: Line = ""
    force: bool = False


class DrillBody(ByBody):
    """A drill of a spare host. `force`: also while other hosts are in trouble, or another system says that it lives."""

    reason: Line = ""
    force: bool = False


class ConfirmOffBody(ByBody):
    """An operator confirms that the host is off. `force` overrides everything but a device that reads ON; it needs the
    host's name again in `host`."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"force": {"const": True}}, "required": ["force"]},
            "then": {"properties": {"host": {"type": "string"}}, "required": ["host"]},
        }
    )
    reason: Reason
    force: bool = False
    host: Annotated[str, Field(max_length=253, description="the host's name, as in the path")] | None = None


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
    """An optional reason."""

    reason: Line = ""


class ShardBody(ByBody):
    """`shard`: the only one that it is for; null: all of them."""

    shard: ShardName | None = None


class AllShardsBody(ShardBody):
    """An optional reason. `shard`: the only one that it is for; null: all of them."""

    reason: Line = ""


class ReloadBody(Body):
    """`POST reload`. `file`: the file that the caller means; the daemon refuses if it reads another one."""

    file: Annotated[str, _shaped(PATH_MAX, LINE), AfterValidator(_one_line)] = ""


class ReleaseBody(ShardBody):
    """Accept a store that is in doubt. `reason`: what the operator checked. `shard`: the only one that it is for; null:
    all in doubt."""

    reason: Reason


def _anything(schema: dict[str, Any]) -> None:
    """Allow anything in each field beside its own schema, because a value that can't be read is ignored."""
    for name, field in schema["properties"].items():
        schema["properties"][name] = {"anyOf": [field, {"description": "ignored"}]}


class HealthBody(Body):
    """The bus's `health/HOST` message. Every field is optional; null means absent; an unreadable value is ignored."""

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
    """The query string. An unknown name is an error: if a filter were ignored, the answer would be wrong.

    `MANY`: the names that may be given several times; any other one may not."""

    MANY: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, given: Iterable[tuple[str, str]]) -> Self:
        """Parse the names and values of a query. Raises ValidationError, and ValueError for a name given twice."""
        found: dict[str, str | list[str]] = {}
        for name, value in given:
            if name in cls.MANY:
                values = found.setdefault(name, [])
                assert isinstance(values, list)
                values.append(value)
            elif name in found:
                raise ValueError(f"{name[:NAME_MAX]}: given twice; it has one value")
            else:
                found[name] = value
        return cls.model_validate(found)


AfterName = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The place in a list by name: a name. It need not exist any more, so a walk goes on whatever becomes of a host."""


class PageQuery(Query):
    """A page. `after`: `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    after: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class NoQuery(Query):
    """Nothing after `?`."""


def unknown_keys(model: type[BaseModel], given: Any) -> tuple[str, ...]:
    """Return the keys of a body that its model does not have: eight at most, each shortened."""
    if not isinstance(given, dict):
        return ()
    unknown = [str(key)[:NAME_MAX] for key in given if key not in model.model_fields]
    return tuple(unknown[:8])
