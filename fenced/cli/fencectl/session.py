"""One run of `fencectl`: the connection, output, questions, waiting, and errors turned into exit codes.

Knows no command. Every error ends in `Group`, with one exit code and a text that says what to do.
"""

import getpass
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from fenced.cli.echo import say, tell
from fenced.cli.fencectl import client as http_client
from fenced.cli.fencectl import text
from fenced.cli.fencectl.client import CALL_TIMEOUT_SECONDS, Client, DaemonFailed, Refused, Unreachable
from fenced.cli.fencectl.controllers import CONNECT_SECONDS, Controllers, addresses
from fenced.cli.fencectl.place import SOCKET_DEFAULT, default_url, is_denied, why_denied
from fenced.cli.fencectl.profiles import Place
from fenced.cli.fencectl.screen import draw
from fenced.cli.fencectl.story import sentence
from fenced.cli.fencectl.wait import NotEnded, display, wait, width

TOKEN_FILE_MAX_BYTES: Final = 4096
OWNER: Final = re.compile(r"(viewer|operator|admin)(@[^:,]+)?(,until=[0-9-]+)?:")
"""What comes before the token in a line of the daemon's tokens file."""
RECONNECT_SECONDS: Final = 2.0
AWAY_MAX_SECONDS: Final = 60.0
NOT_UNDERSTOOD: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""Errors from an answer that does not have the API's shape."""
Json = dict[str, Any]


class ExitCode(IntEnum):
    """See interface.md#exit-status."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_ENDED = 124
    INTERRUPTED = 130


def fail(code: ExitCode) -> NoReturn:
    """Exit with this code; the caller has printed the reason."""
    raise click.exceptions.Exit(int(code))


class Output:
    """How an answer is printed."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    @property
    def is_on_screen(self) -> bool:
        """Whether the answer goes to a terminal."""
        return sys.stdout.isatty()

    def say(self, answer: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print the answer on standard output, as JSON or as lines; on a terminal tables fit it."""
        if self.is_json:
            click.echo(json.dumps(answer, indent=2))
        elif self.is_on_screen:
            draw(lines(), width=width())
        else:
            for line in lines():
                say(line)


class Session(Output):
    """One run of the program: the daemon and the output format."""

    def __init__(self, connect: Callable[[], Controllers], *, is_json: bool) -> None:
        super().__init__(is_json=is_json)
        self._connect = connect
        self.client = connect()

    def again(self) -> "Session":
        """Return another session with the same daemon, for a thread of its own."""
        return Session(self._connect, is_json=self.is_json)

    @property
    def is_terminal(self) -> bool:
        """Whether a user at a terminal can answer questions."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def wait(self, operation: str, *, seconds: float | None, is_quiet: bool) -> Json:
        """Return the operation once it has ended. Raises NotEnded, Refused, Unreachable."""
        try:
            with display(is_quiet=is_quiet or self.is_json) as show:
                return wait(self.client, operation, seconds=seconds, show=show)
        except KeyboardInterrupt:
            tell(f"the operation goes on: fencectl operation {operation}, fencectl cancel {operation}")
            fail(ExitCode.INTERRUPTED)

    def events(self) -> Iterator[str]:
        """Yield the data of events for ever; continue after a lost connection. Raises Unreachable, Refused."""
        last_id: str | None = None
        heard_at: float | None = None
        while True:
            try:
                stream = self.client.stream("events", last_id=last_id)
                heard_at = time.monotonic()
                for identity, data in stream:
                    last_id, heard_at = identity, time.monotonic()
                    yield data
            except Unreachable:
                if heard_at is None or time.monotonic() - heard_at > AWAY_MAX_SECONDS:
                    raise
                self.client.doubt()
            http_client.pause(RECONNECT_SECONDS)


def open_session(place: Place, *, is_json: bool) -> Session:
    """Open a session; send nothing yet. `place.url`: one address or several; None: look for the daemon.

    Raises click.UsageError, Unreachable.
    """
    token = None if place.token_file is None else read_token(Path(place.token_file))
    by, ca_file = _user(), place.ca_file
    try:
        urls = addresses(place.url or default_url())
        seconds = CONNECT_SECONDS if len(urls) > 1 else CALL_TIMEOUT_SECONDS

        def opened(address: str) -> Client:
            return Client(address, token=token, ca_file=ca_file, by=by, connect_seconds=seconds)

        return Session(lambda: Controllers(urls, opened, has_ca_file=ca_file is not None), is_json=is_json)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


def read_token(path: Path) -> str:
    """Read the one line of the file; a line of the daemon's tokens file (`ROLE@person:token`) works, too."""
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_FILE_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(f"can't read the token file {path}: {exc}") from exc
    line = text.strip()
    owner = OWNER.match(line)
    token = line if owner is None else line[owner.end() :]
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise click.UsageError(f"the token file {path} must hold one token on one line")
    return token


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in this container
        return ""
    return name if name.isascii() and name.isprintable() else ""


def ask(session: Session, host: str, action: str, refusal: Refused) -> bool:
    """Ask the user at the terminal for confirmation; return False without a terminal."""
    if not session.is_terminal:
        return False
    tell(str(refusal))
    explained = session.client.get("hosts", host, "explain")
    for line in text.host_page(explained["host"], explained):
        tell(f"  {line}")
    return click.confirm(f"{action} {host}, although it is alive?", default=False, err=True)


def follow(session: Session, operation: str, *, seconds: float | None) -> None:
    """Show the operation until it ends, print how it ended, and exit with its code."""
    if not session.is_json:
        tell(f"operation {operation}")
    ended = session.wait(operation, seconds=seconds, is_quiet=False)
    session.say(ended, lambda: [sentence(ended)])
    if ended["state"] != "done":
        if session.is_json:
            tell(sentence(ended))
        fail(ExitCode.FAILED)


class Group(click.Group):
    """Turns every error of a command into a text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except NOT_UNDERSTOOD as exc:
            tell(f"the answer is not from a fenced daemon of this version ({type(exc).__name__}): check --url")
            fail(ExitCode.UNREACHABLE)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as exc:
            _tell_refusal(ctx, exc)
            fail(ExitCode.REFUSED)
        except Unreachable as exc:
            tell(str(exc))
            fail(ExitCode.UNREACHABLE)
        except NotEnded as exc:
            tell(f"{exc}; it is not known yet whether the host is fenced: see `fencectl operation`")
            fail(ExitCode.NOT_ENDED)
        except DaemonFailed as exc:
            tell(str(exc))
            fail(ExitCode.FAILED)
        except KeyboardInterrupt:
            fail(ExitCode.INTERRUPTED)


def _tell_refusal(ctx: click.Context, refusal: Refused) -> None:
    if isinstance(ctx.obj, Output) and ctx.obj.is_json:
        click.echo(json.dumps(refusal.problem, indent=2))
    for line in text.problem(refusal.problem):
        tell(line)
    if refusal.status == 401:
        tell("give the token with --token-file")
    if refusal.rule == "tcp_writes" and is_denied():
        tell(f"{SOCKET_DEFAULT}: {why_denied()}")


class Command(click.Command):
    """A command that also accepts --json after its name."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.append(click.Option(["--json"], is_flag=True, expose_value=False, hidden=True, callback=_want_json))


def _want_json(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    output = ctx.find_object(Output)
    if is_wanted and output is not None:
        output.is_json = True
