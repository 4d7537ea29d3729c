"""The commands readiness, arm and disarm: whether it is safe to arm, and what arming does at once.

The daemon judges; `page` and `summary` are pure and only show its answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from fenced.cli.echo import tell
from fenced.cli.fencectl import completing, text
from fenced.cli.fencectl.client import Refused, Unreachable
from fenced.cli.fencectl.commands import main
from fenced.cli.fencectl.session import Command, ExitCode, Session, fail

Json = Mapping[str, Any]
PAGE: Final = 500
HOSTS_SHOWN_MAX: Final = 20
WEEK_DAYS: Final = 7
DAY_SECONDS: Final = 86400.0
FALSE: Final = "heard"
"""The outcome of a would-be fence of a host that lived."""
WORDS: Final = {
    FALSE: "heard again in the same run",
    "rebooted": "came back with a new boot",
    "confirmed": "confirmed off",
    "operator": "taken over by an operator",
    "off": "read off",
    "acted": "fenced by the daemon",
    "removed": "removed",
    "silent": "still silent",
}
"""What became of a host."""


@main.command(cls=Command)
@click.option("--cluster", shell_complete=completing.clusters, help="Only hosts of this cluster.")
@click.option("--match", default="*", show_default=True, help="Hosts: `*`, or for example rack=r1,role=spm.")
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="List every host with its paths, not only those that hinder or would have been fenced.",
)
@click.pass_obj
def readiness(session: Session, cluster: str | None, match: str, is_all: bool) -> None:
    """Show whether clusters can be armed: exit 0 if they are ready, 1 if not, with every reason.

    Example: fencectl readiness --cluster c1
    """
    query = {"cluster": cluster, "match": match, "all": "true" if is_all else None}
    answer = _answered(session, query, is_whole=is_all or session.is_json)
    session.say(answer, lambda: page(answer, is_all=is_all))
    if not answer["ready"]:
        fail(ExitCode.FAILED)


def _answered(session: Session, query: Mapping[str, str | int | None], *, is_whole: bool) -> dict[str, Any]:
    """Return the answer: with the hosts of all pages, or only with those of the first one."""
    answer = session.client.get("readiness", query={**query, "limit": PAGE})
    after = answer["next"]
    if not is_whole:
        return answer
    while after is not None:
        more = session.client.get("readiness", query={**query, "limit": PAGE, "after": after})
        if not more["hosts"] or more["next"] == after:
            raise Unreachable(f"{session.client.url} sends endless pages: check that it is a fenced daemon")
        answer["hosts"] += more["hosts"]
        after = more["next"]
    return {**answer, "next": None}


@main.command(cls=Command)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask on a terminal.")
@click.pass_obj
def arm(session: Session, reason: str, is_sure: bool) -> None:
    """Undo every earlier `disarm`.

    First it says how many hosts the daemon may fence from then on, and which ones at once. On a terminal it asks, and
    asks again if more hosts fell silent before the answer.

    Example: fencectl arm --reason "a week without a false fence"
    """
    shown = _readiness(session)
    while True:
        for line in summary(shown) if shown is not None else ():
            tell(line)
        if not session.is_terminal or is_sure:
            break
        if not click.confirm("Arm?", default=False, err=True):
            tell("nothing was done")
            fail(ExitCode.REFUSED)
        before, shown = shown, _readiness(session)
        if not _is_more_silent(before, shown):
            break
        tell("more hosts fell silent meanwhile")
    answer = session.client.send_to_all("POST", "fleet", "arm", body={"reason": reason}, is_loosening=True)
    session.say(answer, lambda: [f"{answer['name']}: {'armed' if answer['armed'] else 'not armed'}"])


def _readiness(session: Session) -> Json | None:
    """Return what arming would do; None if the daemon is older and does not know."""
    try:
        return session.client.get("readiness", query={"limit": 1})
    except Refused as exc:
        if exc.status == 404:
            return None
        raise


def _is_more_silent(before: Json | None, now: Json | None) -> bool:
    """Return whether a host may be fenced at once that was not shown."""
    if before is None or now is None:
        return False
    was, is_now = before["fleet"]["at_once"], now["fleet"]["at_once"]
    return is_now["count"] > was["count"] or not set(is_now["hosts"]) <= set(was["hosts"])


@main.command(cls=Command)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.pass_obj
def disarm(session: Session, reason: str) -> None:
    """Forbid every power command until `arm`. The daemon still decides, records and announces.

    Example: fencectl disarm --reason "storage is being moved"
    """
    answer = session.client.send_to_all("POST", "fleet", "disarm", body={"reason": reason}, is_loosening=False)
    session.say(answer, lambda: [f"{answer['name']}: {'armed' if answer['armed'] else 'disarmed'}"])


# -- what is shown ----------------------------------------------------------------------------------------------------


def summary(answer: Json) -> Iterator[str]:
    """Yield what arming changes at once."""
    fleet = answer["fleet"]
    yield f"{fleet['subject']} of {fleet['hosts']} hosts may be fenced automatically once the daemon is armed"
    at_once = fleet["at_once"]
    if at_once["count"]:
        yield f"WARNING: {_hosts(at_once)} silent NOW and may be fenced at once: {_some(at_once)}"
    else:
        yield "no host would be fenced at once"
    if held := fleet["silent"] - at_once["count"]:
        yield f"{held} more are silent, and other gates or automatic = false hold them"
    if false := fleet["would_be_fences"][FALSE]:
        yield f"WARNING: {false} would-be fences of the last week were false: the hosts lived"
    if not answer["ready"]:
        kinds = [one["kind"] for one in fleet["findings"] if one["weight"] != "advice"]
        yield f"not ready ({', '.join(kinds)}): see `fencectl readiness`"


def _hosts(named: Json) -> str:
    return "1 host is" if named["count"] == 1 else f"{named['count']} hosts are"


def page(answer: Json, *, is_all: bool) -> Iterator[str]:
    """Yield each cluster with its figures and reasons, then the hosts."""
    for cluster in answer["clusters"]:
        yield from _cluster(cluster, f"cluster {cluster['name'] or 'none'}")
        yield ""
    if len(answer["clusters"]) > 1:
        yield from _cluster(answer["fleet"], "all of them")
        yield ""
    yield from _host_table(answer["hosts"], is_all=is_all, is_more=answer["next"] is not None)


def _cluster(cluster: Json, title: str) -> Iterator[str]:
    yield f"{title}: {'ready' if cluster['ready'] else 'NOT READY'}"
    never = f", {cluster['never_heard']} never" if cluster["never_heard"] else ""
    misnamed = f", {cluster['misnamed']} under another name" if cluster["misnamed"] else ""
    proven = f"; oldest proof {text.since(cluster['proven_since'])}" if cluster["proven_since"] else ""
    would, held = cluster["would_be_fences"], cluster["held_by_others"]
    longest = cluster["longest_false_silence_seconds"]
    false = f"; the longest silence of a host that lived: {longest:.0f} s" if longest is not None else ""
    yield f"  heard       {cluster['heard']} of {cluster['hosts']}{never}{misnamed}"
    yield f"  fenceable   {_fenceable(cluster)}{proven}"
    if "observable" in cluster:  # a daemon of an earlier version does not know
        yield f"  observable  {cluster['observable']} of {cluster['hosts']}"
    yield f"  identity    {_counts(cluster['identity'])}"
    if cluster["drilled"]:
        yield f"  drilled     {cluster['drilled']} of {cluster['hosts']}"
    yield f"  automatic   {cluster['automatic']} of {cluster['hosts']}; {cluster['subject']} could be fenced"
    yield f"  observed    {cluster['observed_seconds'] / DAY_SECONDS:.1f} of {WEEK_DAYS} days"
    yield f"  would be fenced  {_outcomes(would)}{false}"
    yield f"  held by others   {_outcomes(held)}"
    yield f"  at once     {_some(cluster['at_once']) or 'none'}"
    if cluster["at_once_if_automatic"]["count"]:
        yield f"  at once, if automatic  {_some(cluster['at_once_if_automatic'])}"
    for finding in cluster["findings"]:
        yield f"  {finding['weight']:<7} {finding['kind']}: {_finding(finding)}"


def _fenceable(cluster: Json) -> str:
    """Return the hosts by level; for the others nothing is known, because no check reads their paths."""
    levels = {word: count for word, count in cluster["fenceable"].items() if count}
    unchecked = cluster["hosts"] - sum(levels.values())
    return _counts({**levels, "not checked": unchecked})


def _counts(counts: Json) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"


def _outcomes(counts: Json) -> str:
    """Return the number, and what became of the hosts; a host that was heard again would have been fenced falsely."""
    total = sum(counts.values())
    return f"{total} in {WEEK_DAYS} days" + "".join(
        f", {count} {WORDS.get(word, word)}" for word, count in counts.items() if count
    )


def _some(named: Json) -> str:
    left = named["count"] - len(named["hosts"])
    return ", ".join(named["hosts"]) + (f" and {left} more" if left > 0 else "")


def _finding(finding: Json) -> str:
    return f"{_some(finding)}: {finding['text']}" if finding["count"] else str(finding["text"])


def _host_table(hosts: list[Json], *, is_all: bool, is_more: bool) -> Iterator[str]:
    """Yield a line for each finding of each host; with `--all` also the paths of every host. `is_more`: there are more
    hosts than these."""
    shown = hosts if is_all else hosts[:HOSTS_SHOWN_MAX]
    rows = [
        (host["name"], host["state"], finding["weight"], finding["kind"], finding["text"])
        for host in shown
        for finding in host["findings"]
    ]
    if rows:
        yield from text.table(("HOST", "STATE", "WEIGHT", "FINDING", "WHAT"), rows)
    yield from _would_be_table(shown)
    if len(shown) < len(hosts):
        yield f"and {'more than ' if is_more else ''}{len(hosts) - len(shown)} more hosts: --all lists them"
    if is_all:
        yield ""
        paths = [
            (
                host["name"],
                path["device"],
                str(path["level"]),
                path["proxy"],
                text.since(path["proven"]),
                path["error"] or "",
            )
            for host in hosts
            for path in host["paths"]
        ]
        yield from text.table(("HOST", "DEVICE", "LEVEL", "THROUGH", "PROVEN", "WHY NOT"), paths)
        yield from _look_table(hosts)


def _look_table(hosts: list[Json]) -> Iterator[str]:
    """Yield what observers saw of hosts that lived, and whether their silence would count."""
    rows = [
        (
            host["name"],
            look["observer"],
            look["domain"] or "-",
            look["network"] or "-",
            look["saw"],
            look["control"] or "-",
            text.since(look["at"]),
            look["blind"] or "",
        )
        for host in hosts
        for look in host.get("looks", ())
    ]
    if rows:
        yield ""
        yield from text.table(
            ("HOST", "OBSERVER", "DOMAIN", "NETWORK", "SAW IT", "REACHED", "LOOKED", "WHY IT WOULD NOT COUNT"), rows
        )


def _would_be_table(hosts: list[Json]) -> Iterator[str]:
    """Yield the would-be fences of the last week, and what became of each host."""
    rows = [
        (
            host["name"],
            text.since(one["would_at"]),
            ", ".join(one["gates"]),
            WORDS.get(one["outcome"], one["outcome"]),
            "-" if one["silence_seconds"] is None else f"{one['silence_seconds']:.0f} s",
        )
        for host in hosts
        for one in host["suspicions"]
        if one["would_at"] is not None
    ]
    if rows:
        yield ""
        yield from text.table(("HOST", "WOULD BE FENCED", "BUT FOR", "THEN", "SILENT FOR"), rows)
