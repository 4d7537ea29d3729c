"""How agents' failures are classified: the library's messages, and real failures of real agents."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fenced.drivers.agents.failures import complaint, failure
from fenced.drivers.keeper.client import Ending, Finished
from fenced.drivers.output import Output
from fenced.drivers.registry import DriverRegistry
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
    StateNotReached,
)
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port, until_on
from tests.drivers.programs import METADATA, make_agent, spec_of, starts_into
from tests.needs import needs
from tests.net import free_port

TIME = "2026-11-26 11:15:04,401 ERROR: "
USAGE = f"\n{TIME}Please use '-h' for usage\n"
NEW_CONNECTION = (
    "Failed: send_get_request: HTTPSConnectionPool(host='192.0.2.1', port=401): Max retries exceeded with url: "
    "/redfish/v1 (Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))"
)
TEXTS: list[tuple[str, type[DeviceError], bool]] = [
    ("Unable to connect/login to fencing device", DeviceUnreachable, True),
    ("Connection lost", DeviceUnreachable, True),
    ("Connection timed out", DeviceTimedOut, True),
    ("Failed: Timed out waiting to power ON", StateNotReached, True),
    ("Failed: Timed out waiting to power OFF", StateNotReached, True),
    ("Timed out waiting to power ON", StateNotReached, True),
    ("Failed: Unable to obtain correct plug status or plug is not available", DeviceError, True),
    ("Failed: You have to set login password", BadParameters, False),
    ("Failed: The user does not have the correct privileges to do the requested action.", LoginRefused, True),
    ("Failed: You have to set login name" + USAGE, BadParameters, False),
    ("Failed: You have to enter plug number or machine identification" + USAGE, BadParameters, False),
    ("Failed: The value you have entered for --ipport is not a valid integer" + USAGE, BadParameters, False),
    ("Failed: You have to enter a valid choice for --snmp-version from the valid values: ['1']", BadParameters, False),
    ("Failed: Unrecognised action 'off'" + USAGE, NotSupported, False),
    ("The command was not found or was not executable: /usr/bin/telnet.", NotSupported, False),
    (NEW_CONNECTION + USAGE, DeviceUnreachable, True),
    ("Returned 1: Timeout: No Response from 192.0.2.1:161" + USAGE, DeviceTimedOut, True),
    ("401 Client Error: Unauthorized for url", LoginRefused, True),
    ("unexpected status code '403' from endpoint", LoginRefused, True),
    ("Failed: Unauthorized: no", LoginRefused, True),
    ("Failed: Unable to authenticate: no", LoginRefused, True),
    ("Server side certificate verification failed: no", LoginRefused, True),
    ("Unable to get PowerState: https://192.0.2.1:443/redfish/v1/Systems/1" + USAGE, DeviceError, True),
    ("something that nobody foresaw", DeviceError, True),
    ("SSLError(SSLError(1, '[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:992)'))", DeviceUnreachable, True),
    ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version (_ssl.c:992)", DeviceUnreachable, True),
    ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:992)", DeviceUnreachable, True),
    ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:992)", DeviceUnreachable, True),
    ("[SSL: DH_KEY_TOO_SMALL] dh key too small (_ssl.c:992)", DeviceUnreachable, True),
    (
        "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: x'))",
        LoginRefused,
        True,
    ),
    ("SSL certificate problem: unable to get local issuer certificate", LoginRefused, True),
    ("SSL: no alternative certificate subject name matches target host name 'bmc'", LoginRefused, True),
    (
        "Parse error: Ignoring unknown option 'usage: not supported=1'\n" + TIME + "Connection lost",
        DeviceUnreachable,
        True,
    ),
]


@pytest.mark.parametrize(("text", "kind", "may_be_done"), TEXTS)
def test_a_text_is_one_kind_of_failure(text: str, kind: type[DeviceError], may_be_done: bool) -> None:
    ended = Finished(ending=Ending.EXITED, status=1, was_fed=True, stderr=Output(head=(TIME + text + "\n").encode()))
    off = failure(spec_of(), "off", ended, 5.0)
    assert type(off) is kind
    assert off.may_be_done is may_be_done
    assert off.is_end_known
    assert not failure(spec_of(), "status", ended, 5.0).may_be_done


def test_standard_error_counts_before_standard_output() -> None:
    assert complaint(Output(head=b"Connection lost"), Output(head=b"unauthorized")).kind is DeviceUnreachable
    assert complaint(Output(), Output(head=b"unauthorized")).kind is LoginRefused


async def off(registry: DriverRegistry, spec: DeviceSpec, *, timeout_seconds: float = 15.0) -> DeviceError:
    """How an OFF failed."""
    with pytest.raises(DeviceError) as failed:
        await registry.driver_for(spec.driver).set(
            spec, Power.OFF, timeout_seconds=timeout_seconds, on_started=starts_into([])
        )
    assert PASSWORD not in str(failed.value)
    return failed.value


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that accepts everything and never answers."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(8)
        yield int(hole.getsockname()[1])


def at(port: int, **options: Any) -> dict[str, Any]:
    return {"ipport": port, **options}


@pytest.mark.integration
@needs("fence_redfish", "fence_vmware_rest")
@pytest.mark.parametrize("agent", ["fence_redfish", "fence_vmware_rest"])
async def test_a_dead_address_is_unreachable(registry: DriverRegistry, agent: str) -> None:
    options = at(free_port(), **({} if agent == "fence_redfish" else {"plug": "1"}))
    found = await off(registry, spec_of(agent, address="127.0.0.1", options=options))
    assert type(found) is DeviceUnreachable


@pytest.mark.integration
@needs("fence_redfish")
async def test_a_black_hole_times_out_by_our_deadline(registry: DriverRegistry, black_hole: int) -> None:
    spec = spec_of("fence_redfish", address="127.0.0.1", options=at(black_hole))
    found = await off(registry, spec, timeout_seconds=2.0)
    assert type(found) is DeviceTimedOut
    assert found.may_be_done
    assert found.is_end_known


@pytest.mark.integration
@needs("fence_apc_snmp", "snmpget")
async def test_silence_over_udp_is_reported_by_the_agent_itself(registry: DriverRegistry) -> None:
    spec = spec_of("fence_apc_snmp", address="127.0.0.1", options=at(free_port(socket.SOCK_DGRAM), plug="1"))
    found = await off(registry, spec)
    assert type(found) is DeviceTimedOut
    assert "No Response" in str(found)


@pytest.mark.integration
@needs("fence_apc")
async def test_parameters_that_the_agent_refuses_were_never_sent(registry: DriverRegistry) -> None:
    spec = spec_of("fence_apc", address="127.0.0.1", username="", options={"plug": "1"})
    found = await off(registry, spec)
    assert type(found) is BadParameters
    assert not found.may_be_done


@pytest.mark.integration
@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_a_state_that_does_not_come_was_asked_for(registry: DriverRegistry, tmp_path: Path) -> None:
    port = udp_port()
    spec = spec_of(
        "fence_ipmilan",
        address="127.0.0.1",
        username=USERNAME,
        password=Secret(PASSWORD),
        options={"lanplus": True, "cipher": 3, "ipport": port, "power_wait": 0, "power_timeout": 2},
    )
    with ipmi_sim(tmp_path, port):
        await until_on(registry.driver_for(spec.driver), spec)
        stuck = tmp_path / "chassis.sh"
        stuck.write_text(stuck.read_text().replace("rm -f", "true"))
        found = await off(registry, spec)
        assert type(found) is StateNotReached
        assert found.may_be_done
        wrong = await off(registry, spec_of(spec.driver, **{**_fields(spec), "password": Secret("wr0ng-pw")}))
        assert wrong.kind in {"failed", "login_refused", "unreachable"}


def _fields(spec: DeviceSpec) -> dict[str, Any]:
    return {"address": spec.address, "username": spec.username, "options": spec.options}


async def test_an_agent_without_on_says_so_before_anything_is_sent(registry: DriverRegistry, tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 0", metadata=METADATA.replace('<action name="on"/>', ""))
    spec = spec_of()
    with pytest.raises(NotSupported) as refused:
        await registry.driver_for(spec.driver).set(spec, Power.ON, timeout_seconds=5, on_started=starts_into([]))
    assert not refused.value.may_be_done
    assert not (tmp_path / "fence_made.stdin").exists()
