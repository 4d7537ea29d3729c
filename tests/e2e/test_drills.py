"""Drills with the real daemon, broker and an emulated BMC: one that proves all, and one that cuts another machine."""

from pathlib import Path

import pytest

from tests.drivers.counterparts import ipmi_sim, udp_port
from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.e2e.test_bmcs import ipmi, secret
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto", "fence_ipmilan", "ipmi_sim", "ipmitool")]

SUCCEEDED = 'fenced_drills_total{result="succeeded"}'
FAILED = 'fenced_drills_total{result="failed"}'
AT = 'fenced_drill_last_success_timestamp_seconds{host="node-1"}'
WORDS = ("drill", "node-1", "--reason", "monthly", "--yes", "--wait")


def spare(configuration: Configuration) -> None:
    configuration.about["node-1"] = {"drill": True}


async def test_a_drill_proves_every_step(tmp_path: Path) -> None:
    port = udp_port()
    (tmp_path / "bmc").mkdir()
    witness = Agent(tmp_path / "agents")
    devices = {"node-1": [ipmi(port, secret(tmp_path))], "node-2": [witness.device("w")]}
    with ipmi_sim(tmp_path / "bmc", port):
        async with bed(tmp_path, devices, change=spare) as it:

            async def answers() -> bool:
                return (await it.ctl("status", "node-1")).status == 0

            await until(answers, what="ipmi_sim answers")
            assert (await it.api.metrics())[AT] == 0.0
            async with it.host_follows_power("node-1", (tmp_path / "bmc" / "on").exists):
                run = await it.ctl(*WORDS, seconds=90)
            assert run.status == 0, run.out + run.err
            assert "the drill of node-1 succeeded" in run.out
            fenced = await it.story.event("node-1", "host.fenced")
            assert fenced.data["drill"] is True
            succeeded = await it.story.event("node-1", "drill.succeeded")
            steps = list(succeeded.data["steps"].values())
            assert None not in steps and steps[:3] == sorted(steps[:3])  # it may be heard before it reads ON
            refused = await it.ctl("drill", "node-2", "--yes")
            assert refused.status == 3 and "drill = true" in refused.err
            counted = await it.api.metrics()
            assert (counted[SUCCEEDED], counted[FAILED]) == (1.0, 0.0)
            assert counted[AT] > 0.0
            await it.daemon.kill()
            await it.start()
            host = await it.api.get("hosts/node-1")
            assert host["last_drill"]["result"] == "succeeded"


async def test_a_drill_that_cuts_another_machine_fails_and_announces_nothing(tmp_path: Path) -> None:
    """The BMC goes off and node-1 goes on beating: it is another machine's."""
    port = udp_port()
    (tmp_path / "bmc").mkdir()
    witness = Agent(tmp_path / "agents")
    devices = {"node-1": [ipmi(port, secret(tmp_path))], "node-2": [witness.device("w")]}
    with ipmi_sim(tmp_path / "bmc", port):
        async with bed(tmp_path, devices, change=spare) as it:

            async def answers() -> bool:
                return (await it.ctl("status", "node-1")).status == 0

            await until(answers, what="ipmi_sim answers")
            run = await it.ctl(*WORDS, seconds=90)
            assert run.status == 1, run.out + run.err
            assert "FAILED at step silent" in run.out and "went on beating" in run.out
            assert (tmp_path / "bmc" / "on").exists()
            await it.story.event("node-1", "drill.failed")
            distrusted = await it.story.event("node-1", "host.distrusted")
            assert distrusted.data["devices"] == ["bmc"]
            assert not it.story.of("node-1", "host.fenced")
            assert (await it.api.metrics())[FAILED] == 1.0
            again = await it.ctl("drill", "node-1", "--yes")
            assert again.status == 3 and "distrusted" in again.err
