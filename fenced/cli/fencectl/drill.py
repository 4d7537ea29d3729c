"""`fencectl drill`: fences a living spare host for real, and shows what each step proved."""

import time
from collections.abc import Iterator
from typing import Any, Final

import click

from fenced.cli.duration import DURATION
from fenced.cli.echo import tell
from fenced.cli.fencectl import completing, text
from fenced.cli.fencectl.session import Command, ExitCode, Session, fail
from fenced.cli.fencectl.wait import wait_for_drill
from fenced.model.bars import short

Json = dict[str, Any]

PROVES: Final = {
    "off": "every device of the level read off",
    "silent": "no heartbeat came any more",
    "announced": "the broker has `fenced`",
    "on": "everything reads on again",
    "heard": "heard with a new boot id",
}
"""The steps of a drill, in order, and what each proves."""


@click.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.option("--force", is_flag=True, help="Even if other hosts are in trouble, or live evidence says it is in use.")
@click.option("--yes", "is_sure", is_flag=True, help="Ask nothing; needed without a terminal.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until the host is heard again, or the drill failed.")
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 15m; then exit 124.")
@click.pass_obj
def drill(
    session: Session, host: str, reason: str, force: bool, is_sure: bool, is_waiting: bool, seconds: float | None
) -> None:
    """Fence HOST, a spare, for real, and prove that it works from end to end.

    HOST must have `drill = true` in its configuration. Its power is cut, it must fall silent, it is announced as
    fenced, gets its power back, and must be heard with a new boot id.

    Example: fencectl drill spare-1 --reason "monthly drill" --yes --wait
    """
    if not is_sure:
        _make_sure(session, host)
    body: Json = {"reason": reason, "force": force}
    accepted = session.client.send("POST", "hosts", host, "drill", body=body)
    for warning in accepted["warnings"]:
        tell(f"warning: {warning}")
    if not is_waiting and seconds is None:
        session.say(accepted, lambda: [accepted["operation"]])
        return
    _follow(session, host, accepted["operation"], seconds)


def _make_sure(session: Session, host: str) -> None:
    """Have the host's name typed at a terminal."""
    if not session.is_terminal:
        raise click.UsageError("without a terminal, a drill needs --yes: it cuts the power of a living host")
    explained = session.client.get("hosts", host, "explain")
    for line in text.host_page(explained["host"], explained):
        tell(f"  {line}")
    tell(f"the drill cuts the power of {host} for real, and gives it back once it is announced as fenced")
    if click.prompt("Type the host's name to begin", err=True) != host:
        tell("nothing was done: the name does not match")
        fail(ExitCode.REFUSED)


def _follow(session: Session, host: str, operation: str, seconds: float | None) -> None:
    """Show the operation, wait for the host, and exit 1 unless every step was proven."""
    end = None if seconds is None else time.monotonic() + seconds
    if not session.is_json:
        tell(f"operation {operation}")
    session.wait(operation, seconds=seconds, is_quiet=False)
    left = None if end is None else max(end - time.monotonic(), 0.0)
    try:
        ended = wait_for_drill(session.client, host, operation, seconds=left)
    except KeyboardInterrupt:
        tell(f"the drill goes on: fencectl show {host}")
        fail(ExitCode.INTERRUPTED)
    session.say(ended, lambda: story(host, ended))
    if ended["result"] != "succeeded":
        if session.is_json:
            tell(sentence(host, ended))
        fail(ExitCode.FAILED)


def story(host: str, ended: Json) -> Iterator[str]:
    """Yield the steps with their times, and how the drill ended."""
    rows = [(step, _reached(ended, step), proves) for step, proves in PROVES.items()]
    yield from text.table(("STEP", "AFTER", "PROVES"), rows)
    yield sentence(host, ended)


def _reached(ended: Json, step: str) -> str:
    after = ended["steps"][step]
    if after is None:
        return "failed" if step == ended["step"] and ended["result"] == "failed" else "-"
    return short(after)


def sentence(host: str, ended: Json) -> str:
    """Say how the drill ended."""
    if ended["result"] == "succeeded":
        return (
            f"the drill of {host} succeeded: it was fenced, and is heard again after {short(ended['steps']['heard'])}"
        )
    if ended["result"] == "cancelled":
        return f"the drill of {host} was cancelled and proves nothing: {ended['why']}"
    return f"the drill of {host} FAILED at step {ended['step']}: {ended['why']}"
