"""Makes fence agents for a test: small shell programs with metadata, mostly misbehaving."""

import dataclasses
import os
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, UnitId
from fenced.ports.devices import Started

METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_made" shortdesc="Made for a test">
<parameters>
<parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="ip" required="1" obsoletes="ipaddr"><content type="string"/></parameter>
<parameter name="ipaddr" required="1" deprecated="1"><content type="string"/></parameter>
<parameter name="username" required="0"><content type="string"/></parameter>
<parameter name="password" required="0"><content type="string"/></parameter>
<parameter name="plug" required="1"><content type="string"/></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="status"/><action name="metadata"/></actions>
</resource-agent>"""


def make_agent(directory: Path, body: str, *, name: str = "fence_made", metadata: str = METADATA) -> Path:
    """Make an agent that reads its parameters ($action, and all in DIRECTORY/NAME.stdin), then runs `body`."""
    path = directory / name
    record = shlex.quote(f"{path}.stdin")
    path.write_text(f"""#!/bin/sh
action=none
parameters=$(cat)
for line in $parameters; do case "$line" in action=*) action="${{line#action=}}";; esac; done
if [ "$action" = metadata ]; then echo asked >> {shlex.quote(f"{path}.asked")}; cat <<'END'
{metadata}
END
exit 0; fi
printf '%s\\n' "$parameters" > {record}
{body}
""")
    path.chmod(0o755)
    return path


def spec_of(driver: str = "fence_made", **changes: Any) -> DeviceSpec:
    """Return a device of that driver with a name, an address, a password and cuts_power."""
    spec = DeviceSpec(
        driver=driver,
        plug_id=PlugId("plug"),
        unit_id=UnitId("unit"),
        address="192.0.2.1",
        username="fence",
        password=Secret("hunter2&co"),
        nodename="node-1",
        cuts_power=True,
    )
    return dataclasses.replace(spec, **changes)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pid_in(path: Path) -> int | None:
    """Wait for the pid that a program writes."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


def starts_into(seen: list[Started]) -> Callable[[Started], Awaitable[None]]:
    """Return an on_started hook that records its calls."""

    async def on_started(started: Started) -> None:
        seen.append(started)

    return on_started


def descriptors() -> int:
    """Return the number of open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))
