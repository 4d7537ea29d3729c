"""Who this machine is (S18): what the configuration's reader finds and what the kernel says, together.

One rule: when in doubt a name is ours. A host that is wrongly taken for this machine is refused with a reason; the other
mistake switches us off.
"""

from dataclasses import replace

import structlog

from fenced.config.own_machine import OwnMachine, this_machine
from fenced.host.machine import MachineError
from fenced.host.machine import own_machine as ask_kernel

log = structlog.get_logger("fenced")


def own_machine() -> OwnMachine:
    """All names and addresses of this machine, of interfaces that are up or down. May ask the resolver: blocks."""
    found = this_machine()
    try:
        kernel = ask_kernel()
    except MachineError as exc:
        log.warning("own_machine_incomplete", error=str(exc))
        return found
    return replace(found, addresses=found.addresses | kernel.all)
