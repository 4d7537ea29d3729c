"""Fence agents made for one test: small shell programs with metadata of their own, mostly badly behaved."""

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
    """An agent that reads its parameters ($action, all of them in DIRECTORY/NAME.stdin), then runs `body`."""
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
    """A device of that driver, with a name, an address, a password and a person's word."""
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
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pid_in(path: Path) -> int | None:
    """The pid that a program wrote, once it has."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


def starts_into(seen: list[Started]) -> Callable[[Started], Awaitable[None]]:
    """An on_started hook that remembers."""

    async def on_started(started: Started) -> None:
        seen.append(started)

    return on_started


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
