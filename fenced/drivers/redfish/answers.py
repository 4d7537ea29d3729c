"""Parses the answers of a Redfish service: status, JSON object, a few headers, and messages (DSP0266).

Nothing here assumes that an answer has the shape of its schema; every value is checked before use.
"""

import datetime
import email.utils
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fenced.drivers.redfish.target import Target
from fenced.drivers.redfish.vendors import MESSAGES, Meaning
from fenced.ports.devices import DeviceError, DeviceNotReady, LoginRefused

LOGIN_REFUSED: Final = frozenset({401, 403})
MESSAGES_LOOKED_AT: Final = 10
PATH_CHARACTERS_MAX: Final = 2000
WAIT_SECONDS_MAX: Final = 24 * 3600.0

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `body`: its JSON object, or {} with the content in `text`. `date`: the service's own clock.

    Show its texts only through `Target.shown`.
    """

    status: int
    body: Json
    text: str = ""
    location: str | None = None
    retry_after: str | None = None
    date: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def wait_seconds(self) -> float | None:
        """How long to wait by Retry-After (RFC 9110, 10.2.3); None if it is missing or malformed.

        A date is compared with the service's own clock if it sends one: the clocks of BMCs are often wrong.
        """
        if self.retry_after is None:
            return None
        if self.retry_after.strip().isdecimal():
            return min(float(self.retry_after.strip()[:9]), WAIT_SECONDS_MAX)
        until = _moment(self.retry_after)
        if until is None:
            return None
        since = (_moment(self.date) if self.date else None) or datetime.datetime.now(datetime.UTC)
        return min(max(0.0, (until - since).total_seconds()), WAIT_SECONDS_MAX)

    @property
    def meaning(self) -> Meaning | None:
        """The meaning of the first known message."""
        return next((MESSAGES[name].meaning for name in _message_ids(self.body) if name in MESSAGES), None)


def parse(content: bytes | bytearray) -> tuple[Json, str]:
    """Return the JSON object of a body, or {} and the content as text."""
    try:
        body = json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body, ""
    return {}, content.decode("utf-8", errors="replace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Set a name to None if it appears with two values: which one is meant is undefined (RFC 8259, 4)."""
    table = dict(pairs)
    if len(table) < len(pairs):
        for name, value in pairs:
            if table[name] != value:
                table[name] = None
    return table


def link(value: object) -> str | None:
    """Return the path of a Redfish link; None if it is missing, empty or too long."""
    path = value.get("@odata.id") if isinstance(value, dict) else None
    return path if isinstance(path, str) and 0 < len(path) <= PATH_CHARACTERS_MAX else None


def links(value: object, *, most: int) -> list[str]:
    """Return the paths in a list of links; a single link counts as a list (DMTF/libredfish#27)."""
    several = value if isinstance(value, list) else [value]
    return [path for path in map(link, several[:most]) if path is not None]


def part(body: Json, *names: str) -> object:
    """Return a value inside nested objects; None if it is missing."""
    value: object = body
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def resource(target: Target, answer: Answer, path: str) -> Json:
    """Return the body of a resource. Raises DeviceError unless it is a 200 with a JSON object."""
    if answer.status == 200 and answer.body:
        return answer.body
    said = explanation(target, answer)
    if answer.meaning is Meaning.NOT_READY:
        raise DeviceNotReady(f"{target.base} is not ready ({answer.status}){said}", may_be_done=False)
    if answer.status in LOGIN_REFUSED or answer.meaning is Meaning.LOGIN_REFUSED:
        hint = "" if target.is_session else "; if the BMC allows only sessions, set auth = session"
        raise LoginRefused(f"{target.base} refuses the user ({answer.status}){said}{hint}", may_be_done=False)
    if answer.status != 200:
        raise DeviceError(f"{target.at(path)} answered {answer.status}{said}", may_be_done=False)
    raise DeviceError(f"{target.at(path)} is not a Redfish resource{said}", may_be_done=False)


def explanation(target: Target, answer: Answer) -> str:
    """Return the service's own words about a refusal, bounded and without secrets."""
    text = answer.text
    error = answer.body.get("error")
    if isinstance(error, dict):
        first = next(_messages(answer.body), {})
        text = str(first.get("Message") or first.get("MessageId") or error.get("message") or "")
    said = target.shown(text)
    wait = f"; it asks to wait {target.shown(answer.retry_after, characters_max=40)} s" if answer.retry_after else ""
    return f"{wait}: {said}" if said else wait


def _messages(body: Json) -> Iterator[Json]:
    """Yield the extended information of an error or a resource."""
    for holder in (part(body, "error", "@Message.ExtendedInfo"), body.get("@Message.ExtendedInfo")):
        for message in (holder if isinstance(holder, list) else [holder])[:MESSAGES_LOOKED_AT]:
            if isinstance(message, dict):
                yield message


def _message_ids(body: Json) -> Iterator[str]:
    """Yield names without registry and version, which differ: `ServiceTemporarilyUnavailable` of `Base.1.12....`."""
    for message in _messages(body):
        name = message.get("MessageId") or message.get("MessageID")
        if isinstance(name, str):
            yield name.rpartition(".")[2]


def _moment(text: str) -> datetime.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
