"""What holds automatic fencing, as commands: pauses, storms, and the holds that a person releases."""

import click

from fenced.cli.echo import tell
from fenced.cli.fencectl import text
from fenced.cli.fencectl.session import Command, ExitCode, Session, fail


@click.command(cls=Command)
@click.option(
    "--match", default="*", show_default=True, help="Hosts to pause: `*`, or for example cluster=c1,role=spm."
)
@click.option("--until", help="When it ends: a duration (30m) or a time (2026-01-31T08:00:00Z). Default: at `resume`.")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@click.pass_obj
def pause(session: Session, match: str, until: str | None, reason: str) -> None:
    """Pause automatic fencing. Requests of operators are still carried out.

    Example: fencectl pause --match cluster=c1 --until 30m --reason "switch work"
    """
    made = session.client.send("POST", "pauses", body={"match": match, "until": until, "reason": reason})
    session.say(made, lambda: [f"{made['id']}: {made['match']} paused"])


@click.command(cls=Command)
@click.option("--match", default="*", show_default=True, help="The expression of the pause.")
@click.option("--until", hidden=True, help="Ignored: a pause ends at once.")
@click.option("--reason", required=True, help="Why; kept in the log.")
@click.pass_obj
def resume(session: Session, match: str, until: str | None, reason: str) -> None:
    """End the pauses of exactly this expression, and list the others.

    Example: fencectl resume --match cluster=c1 --reason "switch works again"
    """
    if until is not None:
        tell("--until is ignored: the pause ends now")
    found = session.client.get("pauses")["items"]
    chosen = [item for item in found if item["match"] == match]
    others = [item for item in found if item["match"] != match]
    for item in chosen:
        session.client.send_to_all("DELETE", "pauses", item["id"], body={"reason": reason}, is_loosening=True)
    session.say(
        {"ended": chosen, "paused": others},
        lambda: [
            *(f"{item['id']}: {item['match']} resumed" for item in chosen),
            *(f"{item['id']}: {item['match']} is still paused" for item in others),
        ],
    )
    if not chosen:
        tell(f"refused: there is no pause of exactly {match!r}; `fencectl pauses` lists them")
        fail(ExitCode.REFUSED)


@click.command(cls=Command)
@click.pass_obj
def pauses(session: Session) -> None:
    """List the pauses of automatic fencing.

    Example: fencectl pauses
    """
    answer = session.client.get("pauses")
    session.say(answer, lambda: text.pauses(answer["items"]))


@click.command(cls=Command)
@click.pass_obj
def storms(session: Session) -> None:
    """List storms: many hosts of a failure domain fell silent together, so all of it is held.

    Example: fencectl storms
    """
    answer = session.client.get("storms")
    session.say(answer, lambda: text.storms(answer["items"]))


@click.command(cls=Command)
@click.argument("what", metavar="store|DOMAIN=VALUE")
@click.option("--reason", required=True, help="What you have checked; kept in the journal.")
@click.pass_obj
def release(session: Session, what: str, reason: str) -> None:
    """End a hold that waits for a person: of a store, or of a failure domain with a storm.

    `store`: the daemon started on another store than before. That store does not know what was disarmed, paused or in
    maintenance: set it again first. DOMAIN=VALUE: you looked at hosts that fell silent together; those that are silent
    still are fenced like any other from now on.

    Example: fencectl release rack=r7 --reason "its power feed is broken"
    """
    if what == "store":
        answer = session.client.send_to_all("POST", what, "release", body={"reason": reason}, is_loosening=True)
        session.say(answer, lambda: [f"{answer['name']}: the store is released"])
        return
    items = session.client.get("storms")["items"]
    lasting = [it for it in items if it["end"] is None]
    found = [it for it in lasting if f"{it['domain']}={it['value']}" == what]
    if not found:
        named = ", ".join(sorted(f"{it['domain']}={it['value']}" for it in lasting)) or "none lasts"
        tell(f"refused: there is no storm in {what!r}; storms: {named}")
        fail(ExitCode.REFUSED)
    for storm in found:  # a domain may have hosts in several shards
        session.client.send("POST", "storms", storm["id"], "release", body={"reason": reason})
    silent = ", ".join(sorted({name for storm in found for name in storm["silent"]})) or "no host"
    session.say(found[0], lambda: [f"{what}: the storm is over; silent still: {silent}"])
