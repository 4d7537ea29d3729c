"""All counterparts of the contract suite: real devices and agents, and the lab's emulators.

`COUNTERPARTS` lists each driver with every kind of device that can run on this machine.
"""

import json
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.drivers.bed import WRONG, Bed, Counterpart, Options, black_hole
from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, sushy
from tests.drivers.datagram_beds import (
    agent_on_apc,
    agent_on_ipmi,
    apc_by_community,
    eaton_by_user,
    ipmi_on_pyghmi,
    ipmi_on_sim,
    ipmi_suite_17,
    raritan_by_user,
)
from tests.drivers.lab_beds import agent_on_lab_outlet, redfish_on_lab
from tests.drivers.programs import spec_of
from tests.net import free_port

CHANGED_SECONDS: Final = 20.0


def until_true(condition: Callable[[], bool], *, seconds: float = CHANGED_SECONDS, what: str) -> None:
    """Wait for a device. Raises AssertionError."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not come about within {seconds:g} s: {what}"
        time.sleep(0.05)


# -- a file, through Debian's dummy agent ------------------------------------------------------------------------------


@contextmanager
def dummy(directory: Path) -> Iterator[Bed]:
    state = directory / "state"

    def turn(power: Power) -> None:
        state.write_text(power.value)  # without a line end

    turn(Power.ON)
    spec = spec_of(
        "fence_dummy", address="", username="", password=None, options={"type": "file", "status_file": str(state)}
    )
    yield Bed(spec=spec, truth=lambda: Power(state.read_text().strip()), turn=turn)


# -- sushy-emulator ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SushyClient:
    """Read the state of sushy's system without the driver."""

    port: int
    certificate: Path

    def truth(self) -> Power:
        return Power.ON if self._ask(None)["PowerState"] == "On" else Power.OFF

    def turn(self, power: Power) -> None:
        self._ask({"ResetType": "On" if power is Power.ON else "ForceOff"})
        until_true(lambda: self.truth() is power, what=f"sushy is {power.value}")

    def is_up(self) -> bool:
        try:
            return bool(self._ask(None))
        except OSError:
            return False

    def _ask(self, command: dict[str, str] | None) -> dict[str, Any]:
        path = f"/redfish/v1/Systems/{SYSTEM}" + ("" if command is None else "/Actions/ComputerSystem.Reset")
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        url = f"https://127.0.0.1:{self.port}{path}"
        passwords.add_password(None, url, USERNAME, PASSWORD)
        opener = urllib.request.build_opener(
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.certificate))),
        )
        body = None if command is None else json.dumps(command).encode()
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        with opener.open(request, timeout=10) as answer:
            found = json.loads(answer.read() or b"{}")
            assert isinstance(found, dict)
            return found


@contextmanager
def sushy_running(directory: Path) -> Iterator[SushyClient]:
    port = free_port()
    with sushy(directory, port) as certificate:
        client = SushyClient(port=port, certificate=certificate)
        until_true(client.is_up, what="sushy-emulator answers")
        yield client


@contextmanager
def redfish_on_sushy(directory: Path) -> Iterator[Bed]:
    with sushy_running(directory) as client, black_hole(socket.SOCK_STREAM) as hole:
        spec = spec_of(
            "redfish", address=f"https://127.0.0.1:{client.port}", username=USERNAME, password=Secret(PASSWORD),
            options={"ca_file": str(client.certificate)},
        )  # fmt: skip
        yield Bed(
            spec=spec, truth=client.truth, turn=client.turn,
            refused=replace(spec, password=WRONG),
            nowhere=replace(spec, address=f"https://127.0.0.1:{free_port()}"),
            silent=replace(spec, address=f"https://127.0.0.1:{hole}"),
            mistaken=(
                replace(spec, options={**spec.options, "system": "no-such-system"}),
                replace(spec, options={**spec.options, "sytem": "1"}),
            ),
            identities=(SYSTEM,), asked=lambda: int(client.truth() is Power.OFF),  # it counts nothing, and shuts down
        )  # fmt: skip


@contextmanager
def agent_on_sushy(directory: Path) -> Iterator[Bed]:
    with sushy_running(directory) as client, black_hole(socket.SOCK_STREAM) as hole:
        options: Options = {"ipport": client.port, "ssl_insecure": True, "systems_uri": f"/redfish/v1/Systems/{SYSTEM}"}
        spec = spec_of(
            "fence_redfish", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options
        )
        yield Bed(
            spec=spec, truth=client.truth, turn=client.turn,
            refused=replace(spec, password=WRONG), refusals=(DeviceError,),  # it says "Unable to get PowerState"
            nowhere=replace(spec, options={**options, "ipport": free_port()}), silences=(DeviceError,),
            silent=replace(spec, options={**options, "ipport": hole}),
        )  # fmt: skip


AN_AGENTS: Final = frozenset({"identities", "mistaken", "asked"})
"""Agents read no identity, and ask no host to shut down; the configuration check compares their options with their
metadata."""
AN_OUTLETS: Final = frozenset({"identities", "asked"})
"""An outlet can't identify the host that it feeds, nor ask it anything."""

COUNTERPARTS: Final = (
    Counterpart(
        name="fence_dummy", make=dummy, programs=("fence_dummy",), lacks=AN_AGENTS | {"refused", "nowhere", "silent"}
    ),
    Counterpart(
        name="fence_ipmilan-ipmi_sim", make=agent_on_ipmi, programs=("fence_ipmilan", "ipmi_sim", "ipmitool"),
        lacks=AN_AGENTS,
    ),
    Counterpart(name="redfish-sushy", make=redfish_on_sushy),
    Counterpart(name="fence_redfish-sushy", make=agent_on_sushy, programs=("fence_redfish",), lacks=AN_AGENTS),
    Counterpart(name="redfish-lab", make=redfish_on_lab),
    Counterpart(name="fence_lab_outlet-lab", make=agent_on_lab_outlet, lacks=AN_AGENTS),
    Counterpart(name="ipmi-ipmi_sim", make=ipmi_on_sim, programs=("ipmi_sim",)),
    Counterpart(name="ipmi-pyghmi", make=ipmi_on_pyghmi, lacks=frozenset({"identities", "nowhere", "silent"})),
    Counterpart(name="ipmi-suite_17", make=ipmi_suite_17, lacks=frozenset({"nowhere", "silent"})),
    Counterpart(
        name="snmp_outlet-apc-2c", make=apc_by_community, programs=("snmpd",), lacks=AN_OUTLETS | {"refused"}
    ),  # a wrong community is met with silence
    Counterpart(name="snmp_outlet-raritan-3", make=raritan_by_user, programs=("snmpd",), lacks=AN_OUTLETS),
    Counterpart(name="snmp_outlet-eaton-3", make=eaton_by_user, programs=("snmpd",), lacks=AN_OUTLETS),
    Counterpart(
        name="fence_apc_snmp-snmpd", make=agent_on_apc, programs=("fence_apc_snmp", "snmpd", "snmpget"),
        lacks=AN_AGENTS | {"refused"},
    ),
)  # fmt: skip
