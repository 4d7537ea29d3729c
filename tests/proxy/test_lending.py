"""A call may name only those files and programs of the proxy's machine that its configuration lends,
and can't probe others.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.model.credentials import AddressRule, StoredCredential
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.names import PlugId, UnitId
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, LoginRefused
from fenced.proxy.client import ProxyCaller
from fenced.proxy.credentials import Credentials
from fenced.proxy.lending import Lending, Loans
from tests.net import free_port, until
from tests.proxy.bed import PX1, send
from tests.proxy.test_program import Program

SPEC = DeviceSpec(
    driver="redfish", plug_id=PlugId("redfish/1"), unit_id=UnitId("redfish/1"), address="https://127.0.0.1:1",
    username="fence", password=Secret("own"),
)  # fmt: skip


def with_options(**options: str | bool) -> DeviceSpec:
    return replace(SPEC, options={name.replace("__", "-"): value for name, value in options.items()})


async def refusal(lending: Lending, spec: DeviceSpec) -> str:
    """Return why the call is rejected; nothing was started."""
    with pytest.raises(BadParameters) as refused:
        await lending.check(spec)
    assert not refused.value.may_be_done
    return str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["ipmitool_path", "ipmitool__path", "IPMITOOL_PATH", "ssh_path", "sudo_path", "snmpget_path", "password_script",
     "passwd_script", "snmp_priv_passwd_script", "ssh_options", "exec", "runonfail", "debug_file", "debug",
     "cookie_file"],
)  # fmt: skip
async def test_a_program_or_a_way_to_one_is_refused_unless_the_proxy_lists_it(name: str) -> None:
    spec = with_options(**{name: "/usr/bin/true"})
    given = next(iter(spec.options))
    assert "options in the proxy's file" in await refusal(Lending("px1", Loans()), spec)
    secretly = replace(SPEC, secrets=((given, Secret("/usr/bin/true")),))
    assert "/usr/bin/true" not in await refusal(Lending("px1", Loans()), secretly)
    listed = name.replace("__", "_").lower()
    await Lending("px1", Loans(options=frozenset({listed}))).check(spec)
    await Lending("px1", Loans()).check(spec, also=frozenset({listed}))


@pytest.mark.parametrize(
    "name", ["ca_file", "identity_file", "serviceaccount", "cacert", "kubeconfig", "tlskey", "openrc", "Key__File"]
)
async def test_only_files_in_named_folders_are_lent_and_every_refusal_has_one_text(name: str, tmp_path: Path) -> None:
    lent, other = tmp_path / "lent", tmp_path / "lent-not"
    for folder in (lent, other):
        folder.mkdir()
        (folder / "ca.crt").write_text("x")
    (lent / "below").mkdir()
    (lent / "below" / "ca.crt").symlink_to(lent / "ca.crt")
    (lent / "out").symlink_to(other / "ca.crt")
    os.mkfifo(lent / "fifo")
    (lent / "large").touch()
    os.truncate(lent / "large", 2**30)
    lending = Lending("px1", Loans(dirs=(str(lent),)))
    for good in (lent / "ca.crt", lent / "below" / "ca.crt"):
        await lending.check(with_options(**{name: str(good)}))
    bad = [
        lent / "missing", lent / "fifo", lent / "large", lent / "out", lent, lent / "below", other / "ca.crt",
        "/etc/shadow", "/dev/zero", "/no/such", f"{lent}/../lent-not/ca.crt", f"{lent}/./ca.crt", "ca.crt", "\0", " ",
        f"{lent}//ca.crt",
    ]  # fmt: skip
    told = {await refusal(lending, with_options(**{name: str(path)})) for path in bad}
    assert len(told) == 1, told
    assert {await refusal(Lending("px1", Loans()), with_options(**{name: str(path)})) for path in bad} == told


async def test_an_unreadable_file_is_refused_as_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.crt").write_text("x")
    lending = Lending("px1", Loans(dirs=(str(tmp_path),)))
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root, which may read everything
    spec = with_options(ca_file=str(tmp_path / "ca.crt"))
    assert await refusal(lending, spec) == await refusal(lending, with_options(ca_file=str(tmp_path / "no.crt")))


@pytest.mark.parametrize(
    "options",
    [{"fingerprint": "aa" * 32}, {"ca_file": "/x"}, {"insecure": True}, {"ssl-insecure": "1"}, {"SSL_INSECURE": True},
     {"tls": "legacy"}, {"notls": True}, {"auth": "none"}, {"ssl": False}],
)  # fmt: skip
def test_whom_a_stored_login_trusts_is_never_the_caller_s(options: Mapping[str, str | bool]) -> None:
    """Even if `options` lists it, as files of an earlier version may."""
    pins = {"fingerprint": "bb" * 32}
    stored = StoredCredential(
        username="fence", password=Secret("kept"), addresses=(AddressRule.parse("10.9.0.1"),),
        options=frozenset(options), pins=pins,
    )  # fmt: skip
    credentials = Credentials("px1", {"bmc": stored})
    spec = replace(SPEC, address="https://10.9.0.1", username="", password=None, credential="bmc")
    assert credentials.filled(spec, "fenced-a").options == pins
    with pytest.raises(LoginRefused, match="pins"):
        credentials.filled(replace(spec, options=options), "fenced-a")


def test_a_plug_that_is_taken_for_the_address_is_held_against_the_list() -> None:
    stored = StoredCredential(
        username="fence", addresses=(AddressRule.parse("10.9.0.1"),), options=frozenset({"port_as_ip"})
    )
    credentials = Credentials("px1", {"bmc": stored})
    spec = replace(SPEC, address="10.9.0.1", username="", password=None, credential="bmc")
    elsewhere = (
        replace(spec, options={"port_as_ip": True, "plug": "192.0.2.6"}),
        replace(spec, options={"port-as-ip": True, "port": "192.0.2.6"}),
        replace(spec, options={"port_as_ip": True}, nodename="rogue"),
    )
    for other in elsewhere:
        with pytest.raises(LoginRefused, match=r"not for the address|options port-as-ip"):
            credentials.filled(other, "fenced-a")
    credentials.filled(replace(spec, options={"port_as_ip": True, "plug": "10.9.0.1"}), "fenced-a")


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write()
    return program


@pytest.fixture
async def caller(program: Program) -> AsyncIterator[ProxyCaller]:
    async with program.caller() as caller:
        yield caller


async def test_a_fifo_ends_no_thread_and_no_sigterm_and_folders_are_read_again(
    program: Program, caller: ProxyCaller, tmp_path: Path
) -> None:
    (tmp_path / "lent").mkdir()
    (tmp_path / "lent" / "ca.crt").write_bytes((program.certificates / "ca.crt").read_bytes())
    os.mkfifo(tmp_path / "lent" / "fifo")
    fifo, good = (with_options(ca_file=str(tmp_path / "lent" / name)) for name in ("fifo", "ca.crt"))
    async with program.running() as process:
        for spec in [fifo] * 40 + [good]:
            with pytest.raises(BadParameters, match="file_dirs"):
                await caller.read(PX1, spec, timeout_seconds=5)
        with pytest.raises(BadParameters, match="file_dirs"):
            await send(caller, fifo, Power.OFF)
        program.write(file_dirs=f'["{tmp_path / "lent"}"]')
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "reloaded" in program.stderr)
        with pytest.raises(BadParameters, match="file_dirs"):
            await caller.read(PX1, fifo, timeout_seconds=5)
        with pytest.raises(DeviceError, match="no connection"):
            await caller.read(PX1, good, timeout_seconds=5)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0


@pytest.mark.parametrize("name", ["lanplus", "Lanplus", "secure", "snmp-sec-level"])
def test_the_way_of_a_stored_login_can_be_the_proxys_alone(name: str) -> None:
    pins: dict[str, str | int | float | bool] = {"lanplus": True, "secure": True, "snmp_sec_level": "authPriv"}
    stored = StoredCredential(
        username="fence", addresses=(AddressRule.parse("10.9.0.1"),), options=frozenset({name}), pins=pins
    )
    credentials = Credentials("px1", {"bmc": stored})
    spec = replace(SPEC, address="10.9.0.1", username="", password=None, credential="bmc", options={"plug": "1"})
    assert credentials.filled(spec, "fenced-a").options == {"plug": "1", **pins}
    with pytest.raises(LoginRefused, match="pins"):
        credentials.filled(replace(spec, options={name: "0"}), "fenced-a")
