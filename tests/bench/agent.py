"""The agent program of the measurements: `fence_bench.c` if there is a compiler, else the same as a shell script."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from fenced.model.names import PlugId

NAME: Final = "fence_bench"
SOURCE: Final = Path(__file__).with_name("fence_bench.c")

SCRIPT: Final = r"""#!/bin/sh
while read -r line; do
  case "$line" in
    action=*) action="${line#action=}" ;;
    state_name=*) state_name="${line#state_name=}" ;;
    off_ms=*) off_ms="${line#off_ms=}" ;;
    refuse=*) refuse="${line#refuse=}" ;;
  esac
done
case "$action" in
  metadata)
    printf '<resource-agent name="fence_bench"><parameters>'
    for name in action plug state_name off_ms refuse; do
      printf '<parameter name="%s"><content type="string"/></parameter>' "$name"
    done
    printf '</parameters><actions><action name="on"/><action name="off"/><action name="status"/></actions>'
    printf '</resource-agent>'
    ;;
  status)
    read -r power 2>/dev/null < "$state_name"
    if [ "$power" = off ]; then echo "Status: OFF"; exit 2; else echo "Status: ON"; exit 0; fi ;;
  *)
    if [ -n "$refuse" ]; then echo "Unable to connect" >&2; exit 1; fi
    if [ "$action" = off ] && [ -n "$off_ms" ]; then sleep "$((off_ms / 1000)).$(printf %03d $((off_ms % 1000)))"; fi
    echo "$action" > "$state_name" ;;
esac
"""


class Agent:
    """Installed in a directory of its own; the power of its plugs is in files beside it."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / "agents"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._plugs = folder / "plugs"
        self._plugs.mkdir(exist_ok=True)
        self.path = self.directory / NAME
        self.is_compiled = _compile(self.path)
        if not self.is_compiled:
            self.path.write_text(SCRIPT)
            self.path.chmod(0o755)

    def device(self, plug: str, *, off_ms: int = 0, is_refusing: bool = False, **more: Any) -> dict[str, Any]:
        """Return a device entry; its plug is on."""
        options: dict[str, Any] = {"plug": plug, "state_name": str(self._plugs / plug)}
        if off_ms:
            options["off_ms"] = off_ms
        if is_refusing:
            options["refuse"] = 1
        return {"name": plug, "driver": NAME, "cuts_power": True, "options": options, **more}

    def plug_id(self, plug: str) -> PlugId:
        """Return the daemon's id of a plug, for a device without further options (fenced/config/plugs.py)."""
        return PlugId(f"{NAME}||{plug}?state_name={self._plugs / plug}")

    def parameters(self, action: str, plug: str, *, off_ms: int = 0) -> bytes:
        """Return the agent's input for the same plug, for a call without the daemon."""
        return f"action={action}\nplug={plug}\nstate_name={self._plugs / plug}\noff_ms={off_ms}\n".encode()

    def off_at(self, plug: str) -> float | None:
        """Return when this plug was switched off, on the wall clock; None while it is on."""
        file = self._plugs / plug
        if not file.exists() or file.read_text() != "off":
            return None
        return file.stat().st_mtime

    def set_on(self) -> None:
        """Switch every plug on."""
        for file in self._plugs.iterdir():
            file.unlink()


def _compile(target: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    tried = subprocess.run([compiler, "-O2", "-w", "-o", str(target), str(SOURCE)], capture_output=True, check=False)
    return tried.returncode == 0
