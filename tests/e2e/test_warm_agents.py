"""A daemon forks Debian's agents from one template, unless configured otherwise, and leaves none behind."""

from pathlib import Path

import pytest

from tests.bench.processes import child
from tests.drivers.programs import is_alive
from tests.e2e.agents import dummy
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto", "fence_dummy")]

TEMPLATE = "warm_template"


async def test_agents_are_warm_as_the_settings_come(tmp_path: Path) -> None:
    _, outlet = dummy(tmp_path, "pdu")
    async with bed(tmp_path, {"node-1": [outlet], "node-2": []}, alive=[]) as it:

        async def is_there() -> bool:
            await it.api.ended(await it.api.act("node-1", "status"))
            return child(it.daemon.pid, TEMPLATE) is not None

        await until(is_there, what="the daemon has a template")
        template = child(it.daemon.pid, TEMPLATE)
        assert template is not None
        ended = await it.api.ended(await it.api.act("node-1", "off", force=True))
        assert ended["result"]["fenced"], ended
        await it.daemon.kill()
        await until(lambda: not is_alive(template), what="the template died with the daemon")


async def test_agents_are_plain_when_that_is_wanted(tmp_path: Path) -> None:
    def change(configuration: Configuration) -> None:
        configuration.change("power", warm_agents=False)

    _, outlet = dummy(tmp_path, "pdu")
    async with bed(tmp_path, {"node-1": [outlet], "node-2": []}, alive=[], change=change) as it:
        for _ in range(3):
            await it.api.ended(await it.api.act("node-1", "status"))
            assert child(it.daemon.pid, TEMPLATE) is None
