"""Writes docs/states.md from the table of the host machine: `make docs-states`."""

import sys
from typing import Final

from fenced.core.durable.machine import diagram

HEADER: Final = """\
# States of a host

<!-- Written by `make docs-states` from fenced/core/durable/machine.py; a test compares it with the code. Don't edit. -->

Each state is what we *know* about a host. The words beside the arrows are the records of the journal that lead from one
state to the next; `fencectl explain HOST` prints the latest of them. What to do in each state is said in
[operations.md](operations.md).

"""


def text() -> str:
    """The whole file."""
    return HEADER + diagram().rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
