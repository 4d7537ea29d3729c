"""BMCs emulated by other projects: OpenIPMI's over fence_ipmilan, OpenStack's over the native driver
and fence_redfish.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, ipmi_sim, sushy, udp_port
from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import free_port, until, until_listening

pytestmark = [pytest.mark.integration, needs("mosquitto")]


def secret(folder: Path) -> str:
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n")
    return str(file)


def ipmi(port: int, password_file: str) -> dict[str, Any]:
    return {
        "name": "bmc",
        "driver": "fence_ipmilan",
        "address": "127.0.0.1",
        "username": USERNAME,
        "password_file": password_file,
        "options": {"lanplus": True, "cipher": 3, "ipport": port, "power_wait": 0},
        "attempt_timeout": "10s",
    }


@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_an_ipmi_bmc_is_switched_off_and_on(tmp_path: Path) -> None:
    port = udp_port()
    (tmp_path / "bmc").mkdir()
    witness = Agent(tmp_path / "agents")
    devices = {"node-1": [ipmi(port, secret(tmp_path))], "node-2": [witness.device("w")]}
    with ipmi_sim(tmp_path / "bmc", port):
        async with bed(tmp_path, devices) as it:

            async def answers() -> bool:
                return (await it.ctl("status", "node-1")).status == 0

            await until(answers, what="ipmi_sim answers")
            is_on = (tmp_path / "bmc" / "on").exists
            async with it.host_follows_power("node-1", is_on):
                operation = await it.api.act("node-1", "restart", force=True)
                fenced = await it.story.event("node-1", "host.fenced")
                ended = await it.api.ended(operation)
                await it.story.event("node-1", "host.healthy", number=2)
    assert (ended["state"], ended["result"]["restored"]) == ("done", "all")
    assert fenced.data["devices"][0]["name"] == "bmc"
    assert PASSWORD not in it.daemon.log


@needs("fence_redfish")
async def test_a_redfish_bmc_is_switched_off_by_our_driver_and_on_by_debians_agent(tmp_path: Path) -> None:
    """The emulator shows a change 1 to 11 seconds later: the announcement waits until it was read back."""
    port = free_port()
    (tmp_path / "bmc").mkdir()
    witness = Agent(tmp_path / "agents")
    with sushy(tmp_path / "bmc", port) as certificate:
        await until_listening(port)
        ours: dict[str, Any] = {
            "name": "bmc",
            "driver": "redfish",
            "address": f"https://127.0.0.1:{port}",
            "username": USERNAME,
            "password_file": secret(tmp_path),
            "options": {"ca_file": str(certificate)},
            "verify_timeout": "15s",
        }
        theirs = {
            **ours,
            "driver": "fence_redfish",
            "address": "127.0.0.1",
            "options": {"ipport": port, "ssl_insecure": True, "systems_uri": f"/redfish/v1/Systems/{SYSTEM}"},
            "attempt_timeout": "25s",
        }

        def patient(configuration: Configuration) -> None:
            configuration.change("power", operation_timeout="90s", restore_timeout="90s")

        async with bed(tmp_path, {"node-1": [ours], "node-2": [witness.device("w")]}, change=patient) as it:
            it.configuration.about["node-1"] = {"fence_action": "off"}
            it.configuration.write()
            await it.reload('"reloaded"')
            it.hosts.kill("node-1")
            fenced = await it.story.event("node-1", "host.fenced", seconds=40)
            assert fenced.data["stay_off"] is True
            off = await it.api.ended(fenced.data["operation"])
            reads = [step["outcome"] for step in off["devices"][0]["steps"] if step["what"] == "status"]
            assert reads[-2:] == ["off", "off"]
            it.configuration.hosts["node-1"] = [theirs]
            it.configuration.write()
            await it.reload('"reloaded"')
            status = await it.ctl("status", "node-1")
            assert (status.status, "off" in status.out) == (0, True)
            on = await it.ctl("on", "node-1", "--wait", seconds=60)
            assert on.status == 0, on.err
            assert (await it.api.get("hosts/node-1"))["power"] == {"bmc": "on"}
    assert PASSWORD not in it.daemon.log
