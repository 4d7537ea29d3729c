"""Option values of a call can't redirect a stored credential, and can't name a program on the proxy's machine."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, LoginRefused
from fenced.proxy.client import ProxyCaller
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port
from tests.needs import needs
from tests.net import free_port
from tests.proxy.bed import PX1, send
from tests.proxy.test_program import Program

STORED = f"""
[credentials.bmc]
username = "{USERNAME}"
password_file = "bmc-password"
addresses = ["127.0.0.1"]
drivers = ["fence_ipmilan"]
options = ["ipport"]
"""


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    (tmp_path / "bmc-password").write_text(f"{PASSWORD}\n")
    (tmp_path / "bmc-password").chmod(0o600)
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write(agent_path='["/usr/sbin"]')
    with program.file.open("a", encoding="utf-8") as file:
        file.write(STORED)
    return program


@pytest.fixture
async def caller(program: Program) -> AsyncIterator[ProxyCaller]:
    async with program.running(), program.caller() as caller:
        yield caller


def bmc(port: int) -> DeviceSpec:
    """A device with the credential that the proxy stores."""
    return DeviceSpec(
        driver="fence_ipmilan", plug_id=PlugId(f"ipmi/{port}"), unit_id=UnitId(f"ipmi/{port}"), address="127.0.0.1",
        credential="bmc", nodename="node-1", options={"lanplus": True, "cipher": 3, "ipport": port},
    )  # fmt: skip


@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_a_stored_password_goes_to_no_bmc_that_a_value_smuggles_in(caller: ProxyCaller, tmp_path: Path) -> None:
    """The agent appends some values unquoted to a command line, where a second -H wins.

    The rogue BMC reads off, so believing it would announce a running machine as fenced.
    """
    port, rogue_port = udp_port(), udp_port()
    for name in ("real", "rogue"):
        (tmp_path / name).mkdir()
    with (
        ipmi_sim(tmp_path / "real", port),
        ipmi_sim(tmp_path / "rogue", rogue_port),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening,
    ):
        (tmp_path / "rogue" / "on").unlink()
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        spec = bmc(port)
        assert await caller.read(PX1, spec, timeout_seconds=20) is Power.ON
        for elsewhere in (rogue_port, listening.getsockname()[1]):
            rogue = f"-H 127.0.0.1 -p {elsewhere}"
            for options in (
                {"cipher": f"3 {rogue}"},
                {"Cipher": f"3 {rogue}"},
                {"login_timeout": f"5 {rogue}"},
                {"power-wait": f"1 {rogue}"},
                {"ipport": f"{port} {rogue}"},
                {"plug": rogue},
                {"port": f"1 {rogue}"},
                {"system": rogue},
            ):
                attack = replace(spec, options={**spec.options, **options})
                with pytest.raises((BadParameters, LoginRefused)) as refused:
                    await caller.read(PX1, attack, timeout_seconds=20)
                assert not refused.value.may_be_done
                with pytest.raises(DeviceError):
                    await send(caller, attack, Power.OFF)
        with pytest.raises(BlockingIOError):
            listening.recv(1)
        assert (tmp_path / "real" / "on").exists()


@needs("fence_ipmilan", "ipmitool")
async def test_a_value_is_of_its_kind_with_any_credential(caller: ProxyCaller) -> None:
    for changes in (
        {"options": {"cipher": "3 -H rogue"}},
        {"options": {"auth": "md5 -H rogue"}},
        {"options": {"privlvl": "user -H rogue"}},
        {"options": {"target": "0x20 -H rogue"}},
        {"options": {"ipmitool-timeout": "2 -H rogue"}},
        {"options": {"ip": "127.0.0.1 -H rogue"}, "address": ""},
        {"address": "127.0.0.1 -H rogue"},
        {"address": "-H"},
        {"username": "-H rogue"},
        {"nodename": "-H rogue"},
        {"secrets": (("cipher", Secret("3 -H rogue")),)},
        {"secrets": (("hexadecimal_kg", Secret("ab -H rogue")),)},
    ):
        spec = replace(bmc(1), credential="", username="fence", password=Secret("own"), options={"lanplus": True})
        with pytest.raises(BadParameters) as refused:
            await caller.read(PX1, replace(spec, **changes), timeout_seconds=10)
        assert not refused.value.may_be_done and "rogue" not in str(refused.value)
