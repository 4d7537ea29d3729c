"""`fencectl audit`: who asked for what."""

import click

from fenced.cli.fencectl import text
from fenced.cli.fencectl.session import Command, Session


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="List at most this many.")
@click.pass_obj
def audit(session: Session, limit: int) -> None:
    """List who asked for what, newest first: actions, cancels, confirmations, maintenance, pauses, and refusals.

    \b
    Example: fencectl audit
             fencectl audit --limit 1000 --json
    """
    items = session.client.items("audit", limit=limit)
    rows = [
        (
            text.since(it["at"]),
            it["by"],
            it["what"],
            it["host"] or "-",
            it["operation"] or "-",
            f"refused ({it['refused']}): {it['reason']}" if it["refused"] else it["reason"],
        )
        for it in items
    ]
    head = ("WHEN", "BY", "WHAT", "HOST", "OPERATION", "REASON")
    session.say(
        {"items": items, "next": None}, lambda: text.table(head, rows) if rows else ["nobody asked for anything"]
    )
