"""Completion of arguments in the shell: names of hosts, ids of operations, clusters, from the daemon that would be
asked.

It answers in time or not at all, and says nothing on an error: the shell prints what it gets between the words that a
person is typing.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from fenced.cli.fencectl.client import Client, DaemonFailed, Refused, Unreachable
from fenced.cli.fencectl.controllers import addresses
from fenced.cli.fencectl.place import default_url
from fenced.cli.fencectl.profiles import BadProfile, Place, chosen, default_path, read
from fenced.cli.fencectl.session import NOT_UNDERSTOOD, read_token
from fenced.model.power import State
from fenced.model.text import one_line

TIMEOUT_SECONDS: Final = 2.0
SHOWN_MAX: Final = 500
SILENT: Final = (BadProfile, click.UsageError, Refused, DaemonFailed, OSError, *NOT_UNDERSTOOD)


def hosts(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a host; its state is the help."""
    return _completed(ctx, begun, lambda client: ((it["name"], it["state"]) for it in client.items("hosts")))


def operations(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the id of an operation, newest first."""

    def found(client: Client) -> Iterator[tuple[str, str]]:
        for it in client.items("operations", limit=SHOWN_MAX):
            yield it["id"], f"{it['action']} {it['host']} {it['state']}"

    return _completed(ctx, begun, found)


def clusters(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a cluster."""

    def found(client: Client) -> Iterator[tuple[str, str]]:
        yield from ((name, "") for name in dict.fromkeys(it["cluster"] for it in client.items("hosts")) if name)

    return _completed(ctx, begun, found)


def states(_ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the state of a host."""
    return [CompletionItem(state.value) for state in State if state.value.startswith(begun)]


def profiles(_ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a profile; its addresses are the help."""
    with contextlib.suppress(BadProfile):
        known = read(default_path()).places
        return [CompletionItem(name, help=place.url) for name, place in known.items() if name.startswith(begun)]
    return []


def _completed(
    ctx: click.Context, begun: str, look: Callable[[Client], Iterator[tuple[str, str]]]
) -> list[CompletionItem]:  # fmt: skip
    with contextlib.suppress(*SILENT):
        for client in _clients(ctx.find_root().params):
            with contextlib.suppress(Unreachable), contextlib.closing(client):
                found = ((name, one_line(about)) for name, about in look(client) if name.startswith(begun))
                fit = (CompletionItem(name, help=about or None) for name, about in found if name == one_line(name))
                return list(islice(fit, SHOWN_MAX))
    return []


def _clients(given: Mapping[str, Any]) -> Iterator[Client]:
    """Yield a client of each controller that may be asked, in their order."""
    place = Place(url=given.get("url"), token_file=given.get("token_file"), ca_file=given.get("ca_file"))
    place = chosen(given.get("profile"), place)
    token = None if place.token_file is None else read_token(Path(place.token_file))
    for url in addresses(place.url or default_url()):
        yield Client(
            url,
            token=token,
            ca_file=place.ca_file,
            by="",
            timeout_seconds=TIMEOUT_SECONDS,
            connect_seconds=TIMEOUT_SECONDS,
        )
