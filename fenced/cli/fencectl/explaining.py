"""`fencectl explain`: why a host was, was not, or would not be fenced, now or at a moment of the past."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from fenced.cli.fencectl import completing, text
from fenced.cli.fencectl.moments import moment
from fenced.cli.fencectl.session import Command, Session

Json = dict[str, Any]


@click.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.option("--all", "is_all", is_flag=True, help="Also each gate, what is known, the plan, the newest records.")
@click.option(
    "--at",
    metavar="TIME",
    help='The last decision up to then: a time ("2026-01-31 03:12", 03:12), or a duration (10m).',
)
@click.pass_obj
def explain(session: Session, host: str, is_all: bool, at: str | None) -> None:
    """Say why a host was, was not, or would not be fenced, and what would change that.

    With --at: what was decided last before that moment, as it was known then. `--at 0s` is the last decision of all.

    \b
    Example: fencectl explain node-7
             fencectl explain node-7 --at "2026-01-31 03:12"
             fencectl explain node-7 --at "10 minutes ago"
    """
    if at is None:
        explained = session.client.get("hosts", host, "explain")
        session.say(explained, lambda: [*explained["summary"], *(["", *text.explanation(explained)] if is_all else ())])
        return
    try:
        before = moment(at, datetime.now().astimezone())
    except click.BadParameter as exc:
        exc.param_hint = "--at"
        raise
    page = session.client.get("hosts", host, "decisions", query={"before": before, "limit": 1})
    found = page["items"][0] if page["items"] else None
    session.say(found or {}, lambda: _nothing(host, at) if found is None else _told(found, is_all=is_all))


def _nothing(host: str, at: str) -> list[str]:
    return [
        f"No decision about {host} is kept from before {at}: nothing was in question, it is older than [store] keep,",
        "or the store had a format below 3 then (`fenced store upgrade`).",
    ]


def _told(decision: Json, *, is_all: bool) -> Iterator[str]:
    first, *others = decision["summary"]
    yield f"{decision['at']}  {first}"
    yield from others
    if is_all:
        yield ""
        yield from _whole(decision)


def _whole(decision: Json) -> Iterator[str]:
    """Yield the rest of the record."""
    rows = [
        (gate["gate"], "open" if gate["open"] else "CLOSED", gate["margin"] or "", gate["why"])
        for gate in decision["gates"]
    ]
    if rows:
        yield from text.table(("GATE", "WAS", "MARGIN", "WHY"), rows)
        yield ""
    yield from text.table(("KNOWN", "AGE", "FROM", "VALUE"), [_known(fact) for fact in decision["inputs"]])
    if decision["confirm"]:
        yield ""
        seen = [
            (it["observer"], it["domain"], it["network"], it["target"], it["answer"], "yes" if it["control"] else "no")
            for it in decision["confirm"]
        ]
        yield from text.table(("OBSERVER", "DOMAIN", "NETWORK", "TARGET", "ANSWER", "CONTROL"), seen)
    if decision["plan"] is not None:
        yield ""
        yield f"plan: {decision['plan']['action']}"
        for device in decision["plan"]["devices"]:
            more = f" and {device['more']} more" if device["more"] else ""
            through = ", ".join(device["through"]) or "no proxy"
            yield f"  level {device['level']}  {device['device']} ({device['driver']}) through {through}{more}"
    yield ""
    yield f"decision {decision['id']}, configuration {decision['policy'] or 'of no file'}"


def _known(fact: Json) -> tuple[str, ...]:
    age = "" if fact["age"] is None else f"{fact['age']:.1f} s"
    return fact["what"], age, fact["source"], fact["value"]
