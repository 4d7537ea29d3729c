"""`GET audit`: who asked for what, when, and what was refused."""

from typing import Annotated, Final

from pydantic import Field

from fenced.api import bodies, shapes
from fenced.api.call import Call
from fenced.core.durable.asked import asked
from fenced.core.durable.records import Entry
from fenced.model.moments import Moment

_PART: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}=[0-9]{1,18}"


class AuditQuery(bodies.PageQuery):
    """A page. `after`: a number, or one for each shard."""

    after: Annotated[str, Field(max_length=7000, pattern=f"^([0-9]{{1,18}}|{_PART}(,{_PART})*)$")] | None = None


class AuditItem(shapes.Shape):
    """One request. `what`: the action, or what was changed. `host` null: the fleet. `refused`: the rule that refused
    it, or null; `reason` then says why."""

    at: shapes.Time
    by: str
    what: str
    host: str | None
    operation: str | None
    reason: str
    refused: str | None


class AuditList(shapes.Shape):
    """A page, newest first. One that is empty may have a next one: what nobody asked for lies between."""

    items: list[AuditItem]
    next: str | None


async def listed(call: Call) -> AuditList:
    """Who asked for what, newest first, as far back as the store keeps records."""
    query = call.asked(AuditQuery)
    page = await call.control.audit(limit=query.limit, after=query.after)
    return AuditList(items=[shape(entry) for _, entry in page.entries], next=page.next)


def shape(entry: Entry) -> AuditItem:
    """Return one request."""
    found = asked(entry.record)
    assert found is not None, "the page has nothing else"
    return AuditItem(
        at=Moment(entry.at), by=found.by, what=found.what.replace("_", " "), host=entry.host,
        operation=found.operation, reason=found.reason, refused=found.refused or None,
    )  # fmt: skip
