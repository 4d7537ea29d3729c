"""The commands of `fencectl`: parse arguments, call the HTTP API, print the answer.

Knows the API and nothing of the engine. Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 daemon unreachable, 124 not
ended in time. Without a terminal it asks no questions.
"""

from typing import Any, Final

import click

from fenced import __version__
from fenced.cli.duration import DURATION
from fenced.cli.echo import tell
from fenced.cli.fencectl import completing, holds, profiles, shells, text
from fenced.cli.fencectl import saving as power_saving
from fenced.cli.fencectl.auditing import audit
from fenced.cli.fencectl.client import Refused
from fenced.cli.fencectl.drill import drill
from fenced.cli.fencectl.explaining import explain
from fenced.cli.fencectl.handing_over import controllers, hand_over
from fenced.cli.fencectl.overview import show_overview
from fenced.cli.fencectl.place import SOCKET_DEFAULT, UNIX, URL_DEFAULT
from fenced.cli.fencectl.profiles import BadProfile, Place
from fenced.cli.fencectl.session import Command, ExitCode, Group, Output, Session, ask, fail, follow, open_session
from fenced.cli.fencectl.wait import width
from fenced.cli.fencectl.watching import watch
from fenced.cli.waterfall import render

Json = dict[str, Any]
WITHOUT_DAEMON: Final = frozenset({"completion", "profiles"})
"""Commands that ask no daemon."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fencectl")
@click.option(
    "--url",
    envvar="FENCED_URL",
    help=f"The daemon: http(s)://HOST:PORT or unix:/PATH; of several controllers all, with commas. Default: "
    f"{UNIX}{SOCKET_DEFAULT} if you may open it, else {URL_DEFAULT}. [env: FENCED_URL]",
)
@click.option(
    "--token-file",
    envvar="FENCED_TOKEN_FILE",
    type=click.Path(),
    help="File with the token, if the daemon requires one. [env: FENCED_TOKEN_FILE]",
)
@click.option("--ca-file", envvar="FENCED_CA_FILE", type=click.Path(), help="Certificate authority of the daemon.")
@click.option(
    "--profile",
    envvar="FENCED_PROFILE",
    shell_complete=completing.profiles,
    help="A site of ~/.config/fenced/config.toml; `fencectl profiles` lists them. [env: FENCED_PROFILE]",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON; also accepted after the command.")
@click.pass_context
def main(
    ctx: click.Context,
    url: str | None,
    token_file: str | None,
    ca_file: str | None,
    profile: str | None,
    is_json: bool,
) -> None:
    """Talk to the fencing daemon.

    \b
    Exit codes: 0 done (without --wait: accepted)   1 failed   2 usage
                3 refused   4 daemon unreachable   124 not ended in time

    \b
    Examples:
      fencectl hosts --state failed
      fencectl restart node-7 --reason "kernel hangs" --wait
      fencectl status node-7
      fencectl maintenance node-7 on --reason "new memory" --until 2h
    """
    if ctx.invoked_subcommand in WITHOUT_DAEMON:
        ctx.obj = Output(is_json=is_json)
        return
    try:
        place = profiles.chosen(profile, Place(url=url, token_file=token_file, ca_file=ca_file))
    except BadProfile as exc:
        raise click.UsageError(str(exc)) from exc
    ctx.obj = open_session(place, is_json=is_json)
    ctx.call_on_close(ctx.obj.client.close)


@main.command(cls=Command)
@click.option("--state", shell_complete=completing.states, help="Only hosts in this state, e.g. failed.")
@click.option("--cluster", shell_complete=completing.clusters, help="Only hosts of this cluster.")
@click.pass_obj
def hosts(session: Session, state: str | None, cluster: str | None) -> None:
    """List all hosts, one per line.

    Example: fencectl hosts --state suspect --cluster c1
    """
    items = session.client.items("hosts", query={"state": state, "cluster": cluster})
    session.say({"items": items, "next": None}, lambda: text.hosts(items))


@main.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.pass_obj
def show(session: Session, host: str) -> None:
    """Show one host with all its devices, and the gates that hold it.

    Example: fencectl show node-7
    """
    explained = session.client.get("hosts", host, "explain")
    shown = explained["host"]
    session.say(shown, lambda: text.host_page(shown, explained))


def _act(
    session: Session, host: str, action: str, reason: str, force: bool, is_waiting: bool, seconds: float | None
) -> None:
    body = {"action": action, "reason": reason, "force": force}
    try:
        accepted = session.client.send("POST", "hosts", host, "actions", body=body)
    except Refused as exc:
        if exc.rule != "alive" or force:
            raise
        if not ask(session, host, action, exc):
            tell(f"nothing was done: without a terminal, `{action}` of a living host needs --force")
            raise
        accepted = session.client.send("POST", "hosts", host, "actions", body={**body, "force": True})
    for warning in accepted["warnings"]:
        tell(f"warning: {warning}")
    if not is_waiting and seconds is None:
        session.say(accepted, lambda: [accepted["operation"]])
        return
    follow(session, accepted["operation"], seconds=seconds)


def _action_command(action: str, does: str) -> None:
    """Make the command of one power action."""

    @main.command(action, cls=Command, help=f'{does}\n\nExample: fencectl {action} node-7 --reason "rack work" --wait')
    @click.argument("host", shell_complete=completing.hosts)
    @click.option("--reason", default="", help="Why; kept in the journal.")
    @click.option("--force", is_flag=True, help="Even if the host is alive.")
    @click.option("--wait", "is_waiting", is_flag=True, help="Wait until the operation ends.")
    @click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 90s; then exit 124.")
    @click.pass_obj
    def command(session: Session, host: str, reason: str, force: bool, is_waiting: bool, seconds: float | None) -> None:
        _act(session, host, action, reason, force, is_waiting, seconds)


_action_command("off", "Cut the power of HOST on all its devices and prove it.")
_action_command("on", "Restore the power of HOST.")
_action_command("restart", "Cut the power of HOST, prove it, and restore it.")
for command in (
    explain,
    drill,
    controllers,
    hand_over,
    watch,
    audit,
    power_saving.saving,
    power_saving.wake,
    power_saving.sleep,
    holds.pause,
    holds.resume,
    holds.pauses,
    holds.storms,
    holds.release,
    shells.completion,
    shells.listed,
):
    main.add_command(command)


@main.command(cls=Command)
@click.argument("host", required=False, shell_complete=completing.hosts)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.option("--force", is_flag=True, hidden=True)
@click.option("--wait", "is_waiting", is_flag=True, hidden=True)
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 30s; then exit 124.")
@click.pass_obj
def status(
    session: Session, host: str | None, reason: str, force: bool, is_waiting: bool, seconds: float | None
) -> None:
    """Read the power of HOST on every device; exit 0 when it reads on or off.

    Without HOST: the daemon and its fleet on one page, for people and for Nagios or Icinga. Then the exit status is
    0 ok, 1 warning, 2 critical (also if no daemon answers, or none acts), 3 unknown (it refuses to say). With several
    controllers: one that is missing or not fit is a warning.

    \b
    Example: fencectl status node-7
             fencectl status
    """
    if host is None:
        show_overview(session)
    body = {"action": "status", "reason": reason, "force": force}
    accepted = session.client.send("POST", "hosts", host, "actions", body=body)
    ended = session.wait(accepted["operation"], seconds=seconds, is_quiet=True)
    session.say(ended, lambda: text.status(ended))
    if ended["result"]["power"] not in ("on", "off"):
        fail(ExitCode.FAILED)


@main.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.option("--wait-for", "seconds", type=DURATION, help="Wait at most this long, e.g. 30s; then exit 124.")
@click.pass_obj
def probe(session: Session, host: str, seconds: float | None) -> None:
    """Try every proxy to every device of HOST, and show which paths work.

    Example: fencectl probe node-7
    """
    accepted = session.client.send("POST", "hosts", host, "actions", body={"action": "probe"})
    ended = session.wait(accepted["operation"], seconds=seconds, is_quiet=True)
    session.say(ended, lambda: text.probe(ended))
    if ended["state"] != "done":
        fail(ExitCode.FAILED)


@main.command(cls=Command)
@click.option("--host", shell_complete=completing.hosts, help="Only operations of this host.")
@click.option("--state", help="Only operations in this state: running, done, failed or cancelled.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="List at most this many.")
@click.pass_obj
def operations(session: Session, host: str | None, state: str | None, limit: int) -> None:
    """List operations, newest first.

    Example: fencectl operations --host node-7 --state failed
    """
    items = session.client.items("operations", query={"host": host, "state": state}, limit=limit)
    session.say({"items": items, "next": None}, lambda: text.operations(items))


@main.command(cls=Command)
@click.argument("operation_id", metavar="ID", shell_complete=completing.operations)
@click.pass_obj
def operation(session: Session, operation_id: str) -> None:
    """Show one operation as a waterfall: devices, races, steps and their times.

    Example: fencectl operation 4-118
    """
    found = session.client.get("operations", operation_id)
    session.say(found, lambda: render(found, width=width()))


@main.command(cls=Command)
@click.argument("operation_id", metavar="ID", shell_complete=completing.operations)
@click.option("--reason", default="", help="Why; kept in the journal.")
@click.pass_obj
def cancel(session: Session, operation_id: str, reason: str) -> None:
    """Stop an operation. It ends once its commands can no longer act.

    Example: fencectl cancel 4-118 --reason "wrong host"
    """
    answer = session.client.send("POST", "operations", operation_id, "cancel", body={"reason": reason})
    session.say(answer, lambda: [answer["operation"]])


@main.command("confirm-off", cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.option("--reason", required=True, help="How you know; kept in the journal.")
@click.option("--force", is_flag=True, help="Override every refusal but a device that reads on.")
@click.pass_obj
def confirm_off(session: Session, host: str, reason: str, force: bool) -> None:
    """Confirm that HOST is off when its devices can't prove it.

    Its work may start elsewhere on your word alone. Go there, pull the plug, then confirm.

    Example: fencectl confirm-off node-7 --reason "both cords are in my hand"
    """
    if session.is_terminal and click.prompt(f"Type the host's name if {host} is really off", err=True) != host:
        tell("nothing was done: the name does not match")
        fail(ExitCode.REFUSED)
    body: Json = {"reason": reason, "force": force, **({"host": host} if force else {})}
    answer = session.client.send("POST", "hosts", host, "confirm-off", body=body)
    session.say(answer, lambda: [answer["operation"]])


@main.command(cls=Command)
@click.argument("host", shell_complete=completing.hosts)
@click.argument("switch", metavar="on|off", type=click.Choice(["on", "off"]))
@click.option("--reason", required=True, help="Why; kept in the journal.")
@click.option("--until", help="When it ends: a duration (2h) or a time (2026-01-31T08:00:00Z). Default: at `off`.")
@click.pass_obj
def maintenance(session: Session, host: str, switch: str, reason: str, until: str | None) -> None:
    """Leave HOST alone (on), or watch it again (off).

    Example: fencectl maintenance node-7 on --reason "new memory" --until 2h
    """
    if switch == "on":
        answer = session.client.send("PUT", "hosts", host, "maintenance", body={"reason": reason, "until": until})
    elif until is not None:
        raise click.UsageError("--until belongs to `maintenance HOST on`")
    else:
        answer = session.client.send("DELETE", "hosts", host, "maintenance", body={"reason": reason})
    session.say(answer, lambda: [f"{host}: maintenance {switch}"])


@main.command(cls=Command)
@click.pass_obj
def proxies(session: Session) -> None:
    """List the proxies: whether they answer, their versions and their load.

    Example: fencectl proxies
    """
    answer = session.client.get("proxies")
    session.say(answer, lambda: text.proxies(answer["items"]))
