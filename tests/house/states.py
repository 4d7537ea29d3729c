"""Writes docs/states.md from the tables of states and phases: `make docs-states`."""

import sys
from typing import Final

from fenced.core.durable.machine import phase_diagram, state_table

HEADER: Final = """\
# States of a host, phases of an operation

<!-- Written by `make docs-states` from fenced/core/durable/machine.py; a test compares it. Do not edit. -->

Each state is what the daemon *knows* about a host. [How it works](concepts.md#states) has a picture of the usual way,
and [on-call.md](on-call.md) says what to do in each state. The table has every transition, with the journal records
that cause it; `fencectl explain HOST` prints the latest of them.

"""
PHASES: Final = """
## Phases of an operation

An operation changes or reads the power of one host, phase by phase; the dot is its start. It ends from `closing`, and
from another phase only if it never ran, if it only reads (a status or probe), or if it can't be carried on: its host
left the inventory, or its records can't be restored.

"""


def text() -> str:
    """Return the whole file."""
    return HEADER + state_table().rstrip() + "\n" + PHASES + phase_diagram().rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
