"""Draws the pictures of docs/page.md: python -m tests.page.screenshots

They show the fake fleet of the tests in a real browser. No test compares them: fonts differ between machines.
"""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from fenced.model.names import ClusterName, DatacenterName, HostName
from fenced.model.power import State
from fenced.ports.control import StormView
from tests.api.conftest import start
from tests.api.test_storms import LASTS
from tests.fakes.control import FakeControl
from tests.house.tree import ROOT
from tests.site.browser import browser

PICTURES: Final = ROOT / "docs/pictures"
RACKS: Final = 8
HOSTS: Final = 400
ODD: Final = {7: State.SUSPECT, 57: State.FENCING, 58: State.FENCED, 133: State.SLEEPING, 134: State.SLEEPING,
              210: State.RESTORING, 301: State.MAINTENANCE, 377: State.FAILED}  # fmt: skip


def _fleet() -> FakeControl:
    """Return a fleet of some racks, with hosts in every kind of trouble."""
    control = FakeControl()
    base, known = control.inventory, control.inventory.hosts[HostName("node-1")]
    hosts = dict(base.hosts)
    for number in range(HOSTS):
        name = HostName(f"n{number:04d}")
        hosts[name] = replace(
            known, name=name, cluster=ClusterName(f"c{number % 2 + 1}"), rack=f"r{number % RACKS + 1}",
            datacenter=DatacenterName("dc1"),
        )  # fmt: skip
        state = ODD.get(number, State.HEALTHY)
        control.states[name] = replace(control.states[HostName("node-1")], name=name, state=state)
    control.inventory = replace(base, hosts=hosts)
    control.storms = [StormView(storm=LASTS, silent=LASTS.hosts)]
    return control


async def main() -> None:
    """Draw both."""
    async for api in start(control=_fleet()):
        with tempfile.TemporaryDirectory() as folder:
            async with browser(Path(folder)) as chromium:
                page = await chromium.page()
                await page.resize(width=1280, height=900)
                await page.open(f"{api.url}/")
                await page.screenshot(PICTURES / "page-fleet.png", width=1280, height=900)
                await page.resize(width=390, height=800)
                await page.open(f"{api.url}/hosts/node-2")
                await page.screenshot(PICTURES / "page-host-phone.png", width=390, height=800)


if __name__ == "__main__":
    asyncio.run(main())
