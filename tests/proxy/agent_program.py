"""Runs a proxy agent with the tests' drivers as a separate process: `agent_program.py SETTINGS.json`."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import uvloop

from fenced.host.liveness import TcpLiveness
from fenced.ports.devices import Started
from fenced.proxy.agent import AgentSettings, serve
from fenced.proxy.clock import ProxyClock
from fenced.proxy.renewal import Change
from fenced.proxy.state import ProxyState
from fenced.proxy.tls import TlsFiles
from fenced.telemetry.logs import configure
from fenced.telemetry.proxy_metrics import ProxyMetrics
from tests.proxy.devices import driver_for


async def no_changes() -> AsyncIterator[Change]:
    """A configuration that never changes."""
    await asyncio.Event().wait()
    yield Change(allow=frozenset(), credentials={}, tls=None, ended=lambda refused: None)


async def run(given: dict[str, str]) -> None:
    """Run like `fenced proxy`, except for drivers and configuration."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    killed = Path(given["state_dir"]) / "killed"

    async def kill(processes: Sequence[Started]) -> None:
        killed.write_text(",".join(str(process.pid) for process in processes), encoding="ascii")

    clock = ProxyClock()
    with ProxyState(Path(given["state_dir"]), machine_boot=clock.machine_boot) as state:
        await serve(
            AgentSettings(
                name=given["name"],
                version="test",
                host="127.0.0.1",
                port=int(given["port"]),
                tls=TlsFiles(ca_file=Path(given["ca"]), cert_file=Path(given["cert"]), key_file=Path(given["key"])),
                allow=frozenset({"fenced-a"}),
                agent_processes_max=8,
            ),
            state=state,
            clock=clock,
            driver_for=driver_for,
            kill=kill,
            stop=stop,
            changes=no_changes(),
            telemetry=ProxyMetrics(),
            liveness=TcpLiveness(),
            drivers=lambda: ("file",),
            note_ready=lambda: print("ready", flush=True),
        )


if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings))
