"""`fencectl controllers` and `fencectl hand-over`: who shares the store, and giving a shard to another controller."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from fenced.cli.duration import DURATION
from fenced.cli.echo import tell
from fenced.cli.fencectl import text
from fenced.cli.fencectl.session import Command, ExitCode, Session, fail
from fenced.cli.fencectl.wait import held, holder, wait_for_holder
from fenced.model.names import MAIN_SHARD

Json = dict[str, Any]
HEAD: Final = ("NAME", "STATE", "FIT", "SHARDS", "ADDRESS", "VERSION", "HEARD", "LAG", "REMARKS")


@click.command(cls=Command)
@click.pass_obj
def controllers(session: Session) -> None:
    """List the controllers that share the store: who acts, and who could take over.

    Example: fencectl controllers
    """
    answer = session.client.get("controllers")
    session.say(answer, lambda: page(answer["items"]))


def page(items: Sequence[Json]) -> Iterator[str]:
    """Yield one line per controller; last why another one should act."""
    if not items:
        yield "no controller has reported to the store"
        return
    rows = [
        (
            item["name"],
            item["state"],
            "yes" if item["fit"] else "no",
            ", ".join(_shard(one) for one in item["shards"]) or "-",
            item["address"] or "-",
            item["version"] or "-",
            text.since(item["heard"]),
            str(item["lag"]),
            "; ".join(item["unfit"]),
        )
        for item in items
    ]
    yield from text.table(HEAD, rows)


def _shard(one: Json) -> str:
    return f"{one['shard']} (epoch {one['epoch']}, since {text.since(one['since'])})"


@click.command("hand-over", cls=Command)
@click.option("--shard", default=MAIN_SHARD, show_default=True, help="What to hand over.")
@click.option("--to", default="", help="The controller that is to take it. Default: any that is fit.")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until another controller holds it.")
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 90s; then exit 124.")
@click.pass_obj
def hand_over(session: Session, shard: str, to: str, reason: str, is_waiting: bool, seconds: float | None) -> None:
    """Let the controller that acts give its shard to another one, at a safe point.

    Running power steps end first. With --wait it exits 1 if the shard came back to the same controller.

    Example: fencectl hand-over --to fenced-b --reason "upgrade of fenced-a" --wait
    """
    before = holder(session.client.get("controllers")["items"], shard)
    answer = session.client.send("POST", "controllers", "hand-over", body={"shard": shard, "to": to, "reason": reason})
    whom = to or "any fit controller"
    if before is None or not (is_waiting or seconds is not None):
        session.say(answer, lambda: [f"{shard}: hand-over to {whom} has begun"])
        return
    if not session.is_json:
        tell(f"{shard}: {before['name']} hands over to {whom}")
    was = held(before, shard)
    taker = wait_for_holder(session.client, shard, was, seconds=seconds)
    name, epoch = held(taker, shard)
    session.say(taker, lambda: [f"{shard}: {name} holds it, epoch {epoch}"])
    if name == was[0]:
        tell(f"{name} took {shard} back: no other controller took it in time; see `fencectl controllers`")
        fail(ExitCode.FAILED)
