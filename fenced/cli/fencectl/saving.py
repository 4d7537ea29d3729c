"""`fencectl saving`, `wake` and `sleep`: what power saving does, and hosts put to sleep or woken by a person.

`wake --wait` ends when each host is heard, because that is what a scheduler waits for. The pages are pure: the API's
JSON in, lines out, no wider than given.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import click

from fenced.cli.duration import DURATION
from fenced.cli.echo import tell
from fenced.cli.fencectl import completing, text
from fenced.cli.fencectl.session import Command, ExitCode, Session, fail, follow
from fenced.cli.fencectl.wait import wait_for_wakes, width
from fenced.model.text import one_line, some

Json = Mapping[str, Any]
NAMES_SHOWN: Final = 4
LAST_MIN: Final = 24
"""The least columns of a reason, however narrow the terminal is."""


@click.command(cls=Command)
@click.option("--cluster", shell_complete=completing.clusters, help="Only this cluster.")
@click.option("--all", "is_all", is_flag=True, help="Each host that is awake, with all that keeps it so.")
@click.pass_obj
def saving(session: Session, cluster: str | None, is_all: bool) -> None:
    """Show what power saving does: which hosts sleep, since when, and why the others do not.

    \b
    Example: fencectl saving
             fencectl saving --cluster c1 --all
    """
    answer = session.client.get("saving", query={"cluster": cluster})
    session.say(answer, lambda: page(answer["items"], width=width(), is_all=is_all))


@click.command(cls=Command)
@click.option("--cluster", required=True, shell_complete=completing.clusters, help="The cluster of the hosts.")
@click.option("--hosts", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Wake so many more.")
@click.option("--reason", required=True, help="Why; kept in the journal.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until each of them is heard, or did not come.")
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 15m; then exit 124.")
@click.pass_obj
def wake(session: Session, cluster: str, hosts: int, reason: str, is_waiting: bool, seconds: float | None) -> None:
    """Wake hosts that sleep to save power, also while disarmed or paused.

    Prints the hosts. They are switched on as `[saving] waking` allows, those first that came back most recently. Exits
    1 if fewer can be woken than requested.

    \b
    Example: fencectl wake --cluster c1 --reason "a batch begins"
             fencectl wake --cluster c1 --hosts 4 --reason "a batch begins" --wait-for 15m
    """
    body = {"cluster": cluster, "hosts": hosts, "reason": reason}
    answer = session.client.send("POST", "saving", "wake", body=body)
    for warning in answer["warnings"]:
        tell(f"warning: {warning}")
    names, failed = list(answer["hosts"]), []
    if names and (is_waiting or seconds is not None):
        if not session.is_json:
            tell(f"woken: {', '.join(names)}")
        try:
            failed = wait_for_wakes(session.client, cluster, names, seconds=seconds)
        except KeyboardInterrupt:
            tell("they go on waking: fencectl saving")
            fail(ExitCode.INTERRUPTED)
        answer = {**answer, "failed": failed}
    session.say(answer, lambda: [name for name in names if name not in failed])
    if failed:
        tell(f"did not come: {', '.join(failed)}; see `fencectl explain {failed[0]}`")
    if answer["short"]:
        tell(f"{answer['short']} short: no other host of {cluster} sleeps and can be woken; see `fencectl saving`")
    if failed or answer["short"]:
        fail(ExitCode.FAILED)


@click.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until it sleeps, or stays on.")
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 15m; then exit 124.")
@click.pass_obj
def sleep(session: Session, host: str, reason: str, is_waiting: bool, seconds: float | None) -> None:
    """Ask HOST to shut down, to save power. Its power is never cut.

    It must be idle, and everything that keeps it awake is asked, but for `idle_for` and `proven_on`: with
    `fencectl wake` afterwards this proves that the host comes back.

    Example: fencectl sleep node-7 --reason "prove that it comes back" --wait
    """
    accepted = session.client.send("POST", "hosts", host, "actions", body={"action": "sleep", "reason": reason})
    for warning in accepted["warnings"]:
        tell(f"warning: {warning}")
    if not is_waiting and seconds is None:
        session.say(accepted, lambda: [accepted["operation"]])
        return
    follow(session, accepted["operation"], seconds=seconds)


# -- the page ---------------------------------------------------------------------------------------------------------


def page(items: Sequence[Json], *, width: int, is_all: bool = False) -> Iterator[str]:
    """Yield each cluster with its sleepers, then what keeps the others awake."""
    if not items:
        yield "no cluster"
    for number, item in enumerate(items):
        if number:
            yield ""
        yield from textwrap.wrap(one_line(_head(item)), width, subsequent_indent="  ", break_on_hyphens=False)
        if item["sleepers"]:
            rows = [_sleeper(one) for one in item["sleepers"]]
            yield from folded(("  ASLEEP", "STATE", "SINCE", "WANTED BY"), rows, width)
        if item["others"]:
            rows = [*_each(item["others"])] if is_all else [*_together(item["others"])]
            yield from folded(("  AWAKE", "RULE", "WHY"), rows, width)


def _head(item: Json) -> str:
    counts, name = item["counts"], item["cluster"] or "(no cluster)"
    saved = f"{item['saved_host_hours']:.1f} host-hours saved"
    if not item["enabled"]:
        asleep = f", {counts['asleep']} asleep, {saved}" if counts["asleep"] else ""
        return f"{name}: saving is not enabled{asleep}"
    said = [f"{counts['on']} of {counts['hosts']} hosts on", f"{counts['idle']} idle (reserve {item['reserve']})"]
    said.append(f"{counts['asleep']} asleep")
    if counts["coming"]:
        said.append(f"{counts['coming']} waking")
    if counts["lost"]:
        said.append(f"{counts['lost']} lost")
    if item["short"]:
        said.append(f"{item['short']} SHORT and nobody to wake")
    return f"{name}: {', '.join(said)}; {saved}"


def _sleeper(one: Json) -> tuple[str, ...]:
    wanted = f"{one['wanted_by']}: {one['why']}" if one["wanted_by"] else "-"
    return f"  {one['host']}", one["state"], text.since(one["since"]), wanted


def _each(others: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    for one in others:
        if not one["bars"]:
            yield f"  {one['host']}", "-", _unbarred(one)
        for number, bar in enumerate(one["bars"]):
            yield "" if number else f"  {one['host']}", bar["rule"], bar["why"]


def _together(others: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    """Yield the hosts by the first thing that keeps them awake."""

    def first(one: Json) -> tuple[str, str]:
        return (one["bars"][0]["rule"], one["bars"][0]["why"]) if one["bars"] else ("-", _unbarred(one))

    for rule, group in groupby(sorted(others, key=lambda one: first(one)[0]), key=lambda one: first(one)[0]):
        hosts = list(group)
        reasons = {first(one)[1]: None for one in hosts}
        more = f"; and {len(reasons) - 1} other reasons" if len(reasons) > 2 else ""
        why = next(iter(reasons)) if more else "; ".join(reasons)
        yield f"  {some([one['host'] for one in hosts], NAMES_SHOWN)}", rule, f"{why}{more}"


def _unbarred(one: Json) -> str:
    if one["operation"]:
        return f"being put to sleep: `fencectl operation {one['operation']}`"
    return "may be put to sleep; one at a time, the longest awake first"


def folded(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield a table whose last column goes on in the next line where it is wider than the terminal."""
    lines = [list(head), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    indent = sum(widths) + 2 * len(widths)
    for line in lines:
        before = "".join(f"{cell.ljust(wide)}  " for cell, wide in zip(line, widths, strict=False))
        parts = textwrap.wrap(line[-1], max(width - indent, LAST_MIN), break_on_hyphens=False) or [""]
        yield f"{before}{parts[0]}".rstrip()
        yield from (" " * indent + part for part in parts[1:])
