"""PostgreSQL for the rows: it syncs to the disk as an installed one does, and its processor time can be told apart."""

import contextlib
from collections.abc import Iterator
from typing import Final

from tests.bench.processes import children, cost
from tests.postgres import Server, server

DURABLE: Final = ("max_connections=200",)
"""Everything else as PostgreSQL has it: fsync, full_page_writes and synchronous_commit are on."""


@contextlib.contextmanager
def durable_server() -> Iterator[Server]:
    """A server whose commits are on the disk."""
    with server(DURABLE) as made:
        yield made


def database_seconds(database: Server) -> float:
    """Return the processor time of all processes of a server so far, those that ended included."""
    postmaster = int((database.data / "postmaster.pid").read_text().split()[0])
    seconds = cost(postmaster).own + cost(postmaster).children
    for pid in children(postmaster):
        with contextlib.suppress(OSError):  # it ended meanwhile
            seconds += cost(pid).own
    return seconds
