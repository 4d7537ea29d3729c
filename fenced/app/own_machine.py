"""The names and addresses of this machine (S18), as the configuration's reader and the kernel know them.

In doubt, a name counts as this machine's. A host that is wrongly taken for this machine is refused with a reason;
the opposite mistake would switch this machine off.
"""

from dataclasses import replace

import structlog

from fenced.config.own_machine import OwnMachine, this_machine
from fenced.host.machine import MachineError
from fenced.host.machine import own_machine as ask_kernel

log = structlog.get_logger("fenced")


def own_machine() -> OwnMachine:
    """Return all names and addresses of this machine, on interfaces up or down. May ask the resolver, so it blocks."""
    found = this_machine()
    try:
        kernel = ask_kernel()
    except MachineError as exc:
        log.warning("own_machine_incomplete", error=str(exc))
        return found
    return replace(found, addresses=found.addresses | kernel.all)
