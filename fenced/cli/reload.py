"""`fenced reload`: let the running daemon read its configuration again, and wait for the verdict.

The daemon is asked over its unix socket, of which the file says where it is. A file that can't be read that far is the
daemon's to judge: it is then asked at the default path, and refuses if it reads another file.
"""

import sys
import tomllib
from pathlib import Path
from typing import Final, NoReturn

import click

from fenced.cli.fencectl.client import Client, DaemonFailed, Json, Refused, Unreachable
from fenced.cli.fencectl.place import SOCKET_DEFAULT, UNIX
from fenced.config.durations import parse_duration

EXIT_FAILED: Final = 1
WAIT_DEFAULT: Final = "100s"
"""Below the two minutes after which the unit ends the command."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The daemon's file."
)
@click.option("--socket", "given", metavar="PATH", help="The daemon's socket. Default: api.socket of the file.")
@click.option("--wait", default=WAIT_DEFAULT, show_default=True, metavar="DURATION", help="How long to wait at most.")
def command(file: Path, given: str | None, wait: str) -> None:
    """Reload the running daemon's configuration.

    \b
    fenced reload -c /etc/fenced/fenced.toml

    Waits for the verdict: exit status 0 if the new configuration is in force, 1 with every mistake if it is not, and
    the old one stays. Needs root or the daemon's user.
    """
    try:
        seconds = parse_duration(wait)
    except ValueError as exc:
        raise click.UsageError(f"--wait: {exc}") from exc
    path = given or _socket_of(file)
    if path and not given and not Path(path).is_socket() and Path(SOCKET_DEFAULT).is_socket():
        path = SOCKET_DEFAULT  # the file may name another socket than when the daemon started; it checks the file
    if not path:
        _fail(
            "api.socket is empty, so the daemon can't be asked. Send it SIGHUP; its log and "
            "fenced_config_last_reload_successful say how the reload ended"
        )
    client = Client(f"{UNIX}{path}", token=None, ca_file=None, by="", timeout_seconds=seconds)
    try:
        verdict = client.send("POST", "reload", body={"file": str(file.absolute())})
    except Refused as exc:
        _tell(exc.problem)
        _fail(str(exc))
    except (Unreachable, DaemonFailed) as exc:
        _fail(f"no verdict: {exc}; see the daemon's log")
    finally:
        client.close()
    for line in (*verdict.get("changes", ()), *(f"warning: {text}" for text in verdict.get("warnings", ()))):
        click.echo(line)
    if verdict.get("restart"):
        click.echo(f"in force after a restart: {', '.join(verdict['restart'])}")
    click.echo(f"{file}: reloaded")


def _tell(problem: Json) -> None:
    for error in problem.get("errors") or ():
        click.echo(f"{error.get('path', '')}: {error.get('reason', '')}", err=True)


def _fail(why: str) -> NoReturn:
    click.echo(f"not reloaded: {why}", err=True)
    sys.exit(EXIT_FAILED)


def _socket_of(file: Path) -> str:
    """Return the path of the daemon's socket; "" if the file says that there is none."""
    try:
        with file.open("rb") as opened:
            api = tomllib.load(opened).get("api", {})
    except (OSError, ValueError, RecursionError):
        return SOCKET_DEFAULT
    path = api.get("socket", SOCKET_DEFAULT) if isinstance(api, dict) else SOCKET_DEFAULT
    if not isinstance(path, str):
        return SOCKET_DEFAULT
    return str((file.parent / path).absolute()) if path else ""
