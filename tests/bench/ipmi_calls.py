"""The native driver alone, in a process of its own on the daemon's loop: `python -m tests.bench.ipmi_calls < JSON`.

JSON in: `power` ("read", "off", "on"), `ports`, `at_once` (0: all), `timeout_seconds`. JSON out: wall and processor
seconds from the first call to the last, seconds until each that was done, how many of each error.
"""

import asyncio
import collections
import json
import resource
import sys
import time
from typing import Any

import uvloop

from fenced.drivers.ipmi.driver import Ipmi
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, Started
from tests.bench.ipmi_fleet import PASSWORD, USERNAME


async def _never(started: Started) -> None:
    raise AssertionError("a native driver starts no process")


async def calls(power: str, ports: list[int], at_once: int, timeout_seconds: float) -> dict[str, Any]:
    driver = Ipmi()
    slots = asyncio.Semaphore(at_once or len(ports))
    done: list[float] = []
    failed: collections.Counter[str] = collections.Counter()

    async def one(port: int) -> None:
        spec = DeviceSpec(
            driver="ipmi", plug_id=PlugId("plug"), unit_id=UnitId("unit"), address=f"127.0.0.1:{port}",
            username=USERNAME, password=Secret(PASSWORD),
        )  # fmt: skip
        async with slots:
            try:
                if power == "read":
                    await driver.read(spec, timeout_seconds=timeout_seconds)
                else:
                    wanted = Power.ON if power == "on" else Power.OFF
                    await driver.set(spec, wanted, timeout_seconds=timeout_seconds, on_started=_never)
                done.append(time.monotonic() - began)
            except DeviceError as exc:
                failed[exc.kind] += 1

    began, used = time.monotonic(), time.process_time()
    await asyncio.gather(*(one(port) for port in ports))
    return {"wall": time.monotonic() - began, "cpu": time.process_time() - used, "done": sorted(done), "failed": failed}


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = json.load(sys.stdin)
    print(json.dumps(uvloop.run(calls(**asked))))


if __name__ == "__main__":
    main()
