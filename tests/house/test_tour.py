"""The README's tour, typed as a reader would, with a real broker and real agents. Only ports and waiting differ."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.needs import find, needs
from tests.net import free_port
from tests.pages.registry import shell

BROKER_PORT: Final = "1885"
WAITS: Final = """
waited=0
healthy() {
  (
    exec 3<> "/dev/tcp/${API/:/\\/}" || exit 1
    printf 'GET /api/v1/hosts HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' "$API" >&3
    tr , '\\n' <&3 | grep -cE '"state": ?"healthy"' || true
  )
}
sleep() {
  waited=$((waited + 1))
  for _ in $(seq 300); do
    case $waited in
      1) [ -S api.sock ] && healthy ;;
      2 | 4) [ "$(healthy)" = 2 ] ;;
      3) grep host.restored events.log && fencectl operations --host node-1 --state done | grep restart ;;
      *) echo "the test does not know what to wait for"; exit 1 ;;
    esac > /dev/null 2>&1 && { command sleep 0.5; return 0; }
    command sleep 0.2
  done
  echo "nothing came of waiting $waited"; cat fenced.log; exit 1
}
"""
"""Replaces each `sleep` of the text by waiting for the state that the text describes next.

It asks over TCP, because each fencectl takes half a second of the processor.
"""
PATIENCE_SECONDS: Final = 360.0
"""Ends a tour that hangs. How long a tour takes depends on the machine."""


@pytest.mark.integration
@pytest.mark.timeout(400)
@needs("mosquitto", "mosquitto_sub", "fence_dummy")
def test_the_tour_goes_as_it_says(tmp_path: Path) -> None:
    api = f"127.0.0.1:{free_port()}"
    script = "\n".join(shell("tour", __name__)).replace(BROKER_PORT, str(free_port()))
    script = script.replace("[api]", f'[api]\nlisten = "{api}"', 1)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    folders = {str(Path(program).parent) for name in ("mosquitto", "mosquitto_sub") if (program := find(name))}
    environment = os.environ | {"PATH": os.pathsep.join([os.environ["PATH"], *folders])}
    with subprocess.Popen(
        ["bash", "-c", f"set -eo pipefail\nAPI={api}\n{WAITS}\n{script}"],
        cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as typing:  # fmt: skip
        try:
            said, _ = typing.communicate(timeout=PATIENCE_SECONDS)
        finally:
            _end_session(typing.pid)
    assert typing.returncode == 0, said
    told = re.findall(r"^io\.fenced\.host\.(\w+)$", said, re.MULTILINE)
    assert told[-3:] == ["fencing", "fenced", "restored"], said
    assert re.search(r"^operation \d+-\d+: restart node-1, done", said, re.MULTILINE), said
    assert re.search(r"^offoff$", said, re.MULTILINE), said
    assert re.search(r"^onon$", said, re.MULTILINE), said
    assert '"proof":"device_verified"' in said
    assert not (tmp_path / "tour").exists()


def _end_session(leader: int) -> None:
    """Kill what the shell started and did not end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
