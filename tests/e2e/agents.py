"""Fence agents for these tests: small shell programs over a directory with one file per plug."""

import shlex
from pathlib import Path
from typing import Any

METADATA = """<?xml version="1.0" ?>
<resource-agent name="NAME" shortdesc="Made for a test">
<parameters>
<parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="username" required="0"><content type="string"/></parameter>
<parameter name="password" required="0"><content type="string"/></parameter>
<parameter name="plug" required="1"><content type="string"/></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="status"/><action name="metadata"/></actions>
</resource-agent>"""

STATUS = """status)
  if [ "$(cat "$dir/$plug")" = on ]; then echo "Status: ON"; exit 0; else echo "Status: OFF"; exit 2; fi ;;"""
SWITCH = """on|off)
  printf %s "$action" > "$dir/$plug"; echo "Success" ;;"""


class Agent:
    """`arms`: the arms of a shell `case` over $action; $plug, $password and $dir (the plugs' directory) are set."""

    def __init__(self, agents: Path, name: str = "fence_made", *arms: str) -> None:
        self.name = name
        self.directory = agents.parent / f"{name}.plugs"
        self.directory.mkdir(exist_ok=True)
        agents.mkdir(exist_ok=True)
        path = agents / name
        path.write_text(
            f"""#!/bin/sh
dir={shlex.quote(str(self.directory))}
while read -r line; do
  case "$line" in
    action=*) action="${{line#action=}}" ;;
    plug=*) plug="${{line#plug=}}" ;;
    password=*) password="${{line#password=}}" ;;
  esac
done
[ "$action" = metadata ] || echo "$action $plug" >> "$dir/calls"
case "$action" in
metadata) cat <<'END'
{METADATA.replace("NAME", name)}
END
;;
{chr(10).join([*arms, STATUS, SWITCH])}
esac
"""
        )
        path.chmod(0o755)

    def device(self, plug: str, **more: Any) -> dict[str, Any]:
        """Return a device entry for one of its plugs, which is on."""
        if not (self.directory / plug).exists():
            self.set(plug, "on")
        return {"name": plug, "driver": self.name, "cuts_power": True, "options": {"plug": plug}, **more}

    def power(self, plug: str) -> str:
        return (self.directory / plug).read_text()

    def set(self, plug: str, power: str) -> None:
        (self.directory / plug).write_text(power)

    @property
    def calls(self) -> list[str]:
        """Return `ACTION PLUG` of each call so far, in order."""
        calls = self.directory / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


def dummy(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """Return Debian's fence_dummy over a file: the file, and the device entry."""
    file = folder / f"{name}.power"
    file.write_text("on")  # without a line end
    options = {"type": "file", "status_file": str(file)}
    return file, {"name": name, "driver": "fence_dummy", "cuts_power": True, "options": options}
