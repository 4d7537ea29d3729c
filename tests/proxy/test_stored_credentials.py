"""Credentials stored at the proxy reach the device and nothing else, whatever a daemon requests."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.drivers.local import LocalCaller
from fenced.model.credentials import Address, AddressRule, StoredCredential
from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.names import ENGINE, PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, Driver, LoginRefused, OnStarted
from fenced.proxy.client import ProxyCaller
from fenced.proxy.credentials import Credentials
from tests.net import free_port, until
from tests.proxy.bed import PX1, permit_of, send
from tests.proxy.test_program import Program

AGENT = """#!/bin/sh
# A fence agent that tells in a file what it was given, and prints its password as bad agents do.
while read -r line; do
  case "$line" in
    action=*) action="${line#action=}" ;;
    username=*) username="${line#username=}" ;;
    password=*) password="${line#password=}" ;;
    snmp_priv_passwd=*) priv="${line#snmp_priv_passwd=}" ;;
  esac
done
case "$action" in
  metadata)
    printf '<resource-agent name="fence_told"><parameters>'
    for name in action ip username password plug snmp_priv_passwd; do
      printf '<parameter name="%s"><content type="string"/></parameter>' "$name"
    done
    printf '</parameters><actions>'
    for name in on off status; do printf '<action name="%s"/>' "$name"; done
    echo '</actions></resource-agent>' ;;
  status) echo "$username $password" > "DIRECTORY/told"; echo "Status: ON"; exit 0 ;;
  *) echo "$username $password" > "DIRECTORY/told"; echo "failed with $password" >&2; exit 1 ;;
esac
"""
CREDENTIALS = """
[credentials.bmc]
username = "fence"
password_file = "bmc-password"
addresses = ["10.9.0.0/24", "pdu-1.example.org"]
drivers = ["fence_told"]
clients = ["CN=fenced-a"]
"""
SPEC = DeviceSpec(
    driver="fence_told", plug_id=PlugId("told/1"), unit_id=UnitId("told"), address="10.9.0.7", credential="bmc",
    nodename="node-1", options={"plug": "3"}, cuts_power=True,
)  # fmt: skip


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    (tmp_path / "fence_told").write_text(AGENT.replace("DIRECTORY", str(tmp_path)), encoding="utf-8")
    (tmp_path / "fence_told").chmod(0o755)
    (tmp_path / "bmc-password").write_text("S3cret-at-the-proxy\n")
    (tmp_path / "bmc-password").chmod(0o600)
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write()
    with program.file.open("a", encoding="utf-8") as file:
        file.write(CREDENTIALS)
    return program


@pytest.fixture
async def caller(program: Program) -> AsyncIterator[ProxyCaller]:
    async with program.running(), program.caller() as caller:
        yield caller


async def test_the_proxy_fills_stored_credentials_into_a_call(caller: ProxyCaller, tmp_path: Path) -> None:
    assert await caller.read(PX1, SPEC, timeout_seconds=10) is Power.ON
    assert (tmp_path / "told").read_text() == "fence S3cret-at-the-proxy\n"


async def test_a_stored_secret_is_in_no_answer_and_no_log(caller: ProxyCaller, program: Program) -> None:
    with pytest.raises(DeviceError) as failed:
        await send(caller, SPEC, Power.OFF)
    assert "failed with ***" in str(failed.value)
    await until(lambda: "power command" in program.stderr)
    assert "S3cret" not in str(failed.value) + program.stderr


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        ({"credential": "other"}, BadParameters, "proxy px1: credential 'other' is not in the proxy's file"),
        ({"username": "root"}, BadParameters, "can't be combined with a user name or password"),
        ({"password": Secret("own")}, BadParameters, "can't be combined with a user name or password"),
        ({"address": "10.9.1.7"}, LoginRefused, "is not for the address 10.9.1.7"),
        ({"address": ""}, LoginRefused, "says the device's address"),
        ({"options": {"ip": "192.0.2.66"}}, LoginRefused, "is not for the address 192.0.2.66"),
        ({"options": {"ssh_options": "-o ProxyCommand=x"}}, LoginRefused, "options ssh_options"),
        ({"options": {"ipmitool_path": "x"}}, LoginRefused, "options ipmitool_path"),
        ({"driver": "redfish"}, LoginRefused, "is not for the driver redfish"),
    ],
)
async def test_a_use_of_a_credential_that_the_file_does_not_allow_is_refused(
    caller: ProxyCaller, program: Program, tmp_path: Path, change: dict[str, object], kind: type[DeviceError], why: str
) -> None:
    spec = replace(SPEC, **change)  # type: ignore[arg-type]  # each change is of its field's type
    for call in (caller.read(PX1, spec, timeout_seconds=10), send(caller, spec, Power.OFF)):
        with pytest.raises(kind) as refused:
            await call
        assert why in str(refused.value) and "px1" in str(refused.value)
        assert not refused.value.may_be_done and refused.value.is_end_known
    assert not (tmp_path / "told").exists() and "S3cret" not in program.stderr


async def test_stored_credentials_are_read_again_on_sighup(program: Program, tmp_path: Path) -> None:
    async with program.running() as process, program.caller() as caller:
        await caller.read(PX1, SPEC, timeout_seconds=10)
        (tmp_path / "bmc-password").write_text("N3w-secret\n")
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "reloaded" in program.stderr)
        await caller.read(PX1, SPEC, timeout_seconds=10)
        assert (tmp_path / "told").read_text() == "fence N3w-secret\n"
        text = program.file.read_text(encoding="utf-8")
        program.file.write_text(text.replace('clients = ["CN=fenced-a"]', 'clients = ["CN=fenced-b"]'))
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: program.stderr.count("reloaded") == 2)
        with pytest.raises(LoginRefused, match="is not for the daemon CN=fenced-a"):
            await caller.read(PX1, SPEC, timeout_seconds=10)


async def test_the_daemons_machine_has_no_stored_credentials() -> None:
    def driver_for(name: str) -> Driver:
        raise AssertionError("no driver is looked for")

    async def on_started(_: object) -> None:
        raise AssertionError("nothing starts")

    started: OnStarted = on_started
    local = LocalCaller(driver_for)
    for call in (
        local.read(ENGINE, SPEC, timeout_seconds=5),
        local.set(ENGINE, SPEC, Power.OFF, permit=permit_of(), on_started=started),
    ):
        with pytest.raises(BadParameters, match="at-proxy:bmc") as refused:
            await call
        assert not refused.value.may_be_done


def test_a_stored_credential_is_for_the_daemons_that_it_lists() -> None:
    credential = StoredCredential(addresses=(AddressRule.parse("10.9.0.7"),), clients=frozenset({"fenced-b"}))
    assert credential.why_not(SPEC, "fenced-a") == "is not for the daemon CN=fenced-a"
    assert credential.why_not(SPEC, "fenced-b") is None


def test_a_kept_password_goes_over_an_old_tls_only_where_the_proxys_file_says_so() -> None:
    """Otherwise a caller could have it sent in a form that others can read."""
    credential = StoredCredential(addresses=(AddressRule.parse("10.9.0.7"),))
    old = replace(SPEC, tls=Tls.LEGACY)
    assert "its pins" in (credential.why_not(old, "fenced-a") or "")
    assert "its pins" in (replace(credential, options=frozenset({"tls"})).why_not(old, "fenced-a") or "")
    kept = {"bmc": credential, "old": replace(credential, pins={"tls": "legacy"})}
    credentials = Credentials("px1", kept)
    spec = replace(SPEC, username="", password=None, credential="bmc")
    assert credentials.filled(spec, "fenced-a").tls is Tls.DEFAULT
    filled = credentials.filled(replace(spec, credential="old"), "fenced-a")
    assert filled.tls is Tls.LEGACY and "tls" not in filled.options


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("10.9.0.1", ["10.9.0.1", "https://10.9.0.1", "https://10.9.0.1:443/"],
         ["10.9.0.11", "10.9.0.1:8443", "http://10.9.0.1", "https://10.9.0.1:8443", "10.9.0.1.evil.org"]),
        ("10.9.0.1:8443", ["10.9.0.1:8443", "https://10.9.0.1:8443"], ["10.9.0.1", "10.9.0.1:443"]),
        ("http://10.9.0.1", ["http://10.9.0.1"], ["https://10.9.0.1", "10.9.0.1"]),
        ("10.9.0.0/24", ["10.9.0.255", "https://10.9.0.3"],
         ["10.9.1.0", "http://10.9.0.3", "10.9.0.3:22", "10.9.0.3@evil.org", "https://10.9.0.3@evil.org",
          "https://evil.org/10.9.0.3", "https://evil.org\\@10.9.0.3", "10.9.0.3\nip=evil.org", "-10.9.0.3",
          "https://10.9.0.3/redirect", "0x0a090003", "10.9.3", "https://10.9.0.3#x", "10.9.0.3 "]),
        ("fd00::/64", ["fd00::1", "https://[fd00::1]"], ["fd00:1::1", "https://[fd00::1]:8443"]),
        ("*.bmc.example.org", ["a.bmc.example.org", "https://A.bmc.example.org"],
         ["bmc.example.org", "a.b.bmc.example.org", "a.bmc.example.org.evil.org", "a.bmcXexample.org"]),
        ("rack-*.example.org", ["rack-7.example.org"], ["rack-.example.org", "rack-7.evil.example.org"]),
    ],
)  # fmt: skip
def test_addresses_are_matched_wholly(rule: str, good: list[str], bad: list[str]) -> None:
    credential = StoredCredential(addresses=(AddressRule.parse(rule),))
    for address in good:
        assert credential.why_not(replace(SPEC, address=address), "fenced-a") is None, address
    for address in bad:
        assert credential.why_not(replace(SPEC, address=address), "fenced-a") is not None, address


@pytest.mark.parametrize(
    "text", ["*", "*.*", "0.0.0.0/0", "::/0", "10.9.0.1/24", "https://*.example.org", "a b", "", "-x"]
)
def test_rules_that_mean_everything_or_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        AddressRule.parse(text)


def test_one_address_has_one_spelling() -> None:
    assert Address.parse("https://PX.example.org:443/") == Address(scheme="https", host="px.example.org", port=None)
    assert Address.parse("FD00::1") == Address.parse("fd00:0::1")
