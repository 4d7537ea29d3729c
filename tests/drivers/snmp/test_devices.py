"""The SNMP driver with units played by other programs (snmpd with every vendor's tables, snmpsim),
beside fence agents.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fenced.drivers.registry import DriverRegistry
from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
)
from tests.drivers import contract
from tests.drivers.counterparts import process, udp_port
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.snmp.pdus import COMMUNITY, FAMILIES, READ_ONLY, SENTRY3, USERS, Family, Pdu, snmpd
from tests.needs import find, needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("snmpd")]

BY_MODEL = {family.model: family for family in FAMILIES}
WRONG = Secret("wr0ng-passphrase")


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pdu]:
    """One unit with the tables of all vendors."""
    with snmpd(tmp_path_factory.mktemp("pdu"), udp_port(), FAMILIES) as pdu:
        yield pdu


@pytest.fixture
async def unit(every: Pdu) -> Pdu:
    """Return once it answers and all outlets are on."""
    driver = SnmpOutlet()
    await answers(driver, every.spec(model="apc"))
    for family in FAMILIES:
        for oid, value in family.objects().items():
            if every.held(oid) != value:
                every.put(oid, value)
    return every


async def answers(driver: SnmpOutlet, spec: DeviceSpec) -> None:
    async def is_there() -> bool:
        try:
            await driver.read(spec, timeout_seconds=2)
        except (DeviceTimedOut, DeviceUnreachable):
            return False
        return True

    await until(is_there, what="snmpd answers")


async def put(driver: SnmpOutlet, spec: DeviceSpec, power: Power) -> None:
    await driver.set(spec, power, timeout_seconds=5, on_started=starts_into([]))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model)
async def test_each_vendors_outlets(unit: Pdu, family: Family) -> None:
    driver, spec = SnmpOutlet(), unit.spec(model=family.model)
    await contract.sets_and_reads_back(driver, spec)
    await contract.refuses_to_be_set_to_unknown(driver, spec)
    state = family.state.format(n=family.numbers()[2])
    # All other outlets stayed on.
    others = [family.state.format(n=n) for n in family.numbers() if family.state.format(n=n) != state]
    await put(driver, spec, Power.OFF)
    assert unit.held(state) == family.off
    assert {unit.held(other) for other in others} == {family.on}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model)
async def test_a_transitional_or_scheduled_outlet_is_unknown(unit: Pdu, family: Family) -> None:
    driver, spec = SnmpOutlet(), unit.spec(model=family.model)
    n = family.numbers()[2]
    for state in (family.between, 0x7FFFFFFF, -2):
        unit.put(family.state.format(n=n), state)
        assert await driver.read(spec, timeout_seconds=5) is Power.UNKNOWN
    if family.pending is not None:
        oid, value = family.pending
        for state in (family.off, family.on):
            unit.put(family.state.format(n=n), state)
            unit.put(oid.format(n=n), value)
            assert await driver.read(spec, timeout_seconds=5) is Power.UNKNOWN


async def test_outlets_behind_other_feeds(unit: Pdu) -> None:
    """The third outlet of the second feed of tower 2 is found, and no other."""
    index = "2.2.3"
    objects = {f"{SENTRY3}.5.{index}": 0, f"{SENTRY3}.10.{index}": 4}
    for oid, value in objects.items():
        unit.put(oid, value)
    assert await SnmpOutlet().read(unit.spec(model="sentry3", plug="2:2:3"), timeout_seconds=5) is Power.OFF
    assert await SnmpOutlet().read(unit.spec(model="sentry3", plug="3"), timeout_seconds=5) is Power.ON
    for plug in ("2:3", "1:1:3", "2:2:2:3"):
        with pytest.raises(BadParameters, match=r"write 3|is none"):
            await SnmpOutlet().read(unit.spec(model="sentry3", plug=plug), timeout_seconds=5)


@pytest.mark.parametrize("offset", [1, -1])
async def test_custom_outlets_whose_index_is_another_number(unit: Pdu, offset: int) -> None:
    family, driver = BY_MODEL["cyberpower"], SnmpOutlet()
    options: dict[str, Any] = {
        "model": "custom", "plug": "4", "offset": offset,
        "status_oid": family.state.replace("{n}", "{plug}"), "status_on": 1, "status_off": 2,
        "control_oid": family.command_on[0].replace("{n}", "{plug}"), "control_on": 1, "control_off": 2,
    }  # fmt: skip
    await contract.sets_and_reads_back(driver, unit.spec(**options))
    await put(driver, unit.spec(**options), Power.OFF)
    states = {n: unit.held(family.state.format(n=n)) for n in family.numbers()}
    assert [n for n, state in states.items() if state == family.off] == [4 + offset]
    with pytest.raises(BadParameters, match="no index"):
        await driver.read(unit.spec(**(options | {"offset": -5})), timeout_seconds=5)


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("model", ["apc_rpdu2", "eaton"])
async def test_a_unit_that_does_not_tell_what_is_scheduled(unit: Pdu, model: str, version: str) -> None:
    family, driver, spec = BY_MODEL[model], SnmpOutlet(), unit.spec(model=model, version=version)
    oid = next(iter(family.quiet)).format(n=3)
    unit.put(oid, None)
    assert await driver.read(spec, timeout_seconds=5) is Power.ON
    unit.put(oid, 1)
    assert await driver.read(spec, timeout_seconds=5) is Power.UNKNOWN


@pytest.mark.parametrize("user", [*USERS, "1"])
async def test_each_version_and_protocol(unit: Pdu, user: str) -> None:
    spec = unit.spec(version="1", model="apc") if user == "1" else unit.user_spec(user, model="apc")
    await contract.sets_and_reads_back(SnmpOutlet(), spec)


async def test_a_wrong_user_or_password_is_reported_at_once(unit: Pdu) -> None:
    driver = SnmpOutlet()
    spec = unit.user_spec("sha256-aes", model="apc")
    for refused in (
        replace(spec, username="mallory"),
        replace(spec, password=WRONG),
        unit.user_spec("sha", model="apc", auth_protocol="sha512"),
    ):
        await contract.fails_typed_in_time_and_without_secrets(driver, refused, (LoginRefused,), timeout_seconds=3)
    for silent in (
        replace(spec, secrets=(("privacy_password", WRONG),)),
        replace(unit.spec(model="apc"), password=WRONG),
    ):
        await contract.fails_typed_in_time_and_without_secrets(driver, silent, (DeviceTimedOut,), timeout_seconds=1.2)
    unsigned = replace(unit.user_spec("nobody", model="apc"), username="sha")
    with pytest.raises(LoginRefused):
        await driver.read(unsigned, timeout_seconds=3)


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_a_community_that_may_only_read(unit: Pdu, version: str) -> None:
    driver, spec = SnmpOutlet(), replace(unit.spec(model="apc", version=version), password=Secret(READ_ONLY))
    assert await driver.read(spec, timeout_seconds=5) is Power.ON
    with pytest.raises(LoginRefused) as failed:
        await put(driver, spec, Power.OFF)
    assert failed.value.may_be_done is False
    assert await driver.read(spec, timeout_seconds=5) is Power.ON


async def test_an_address_without_a_listener(unit: Pdu) -> None:
    driver, spec = SnmpOutlet(), replace(unit.spec(model="apc"), address=f"127.0.0.1:{udp_port()}")
    await contract.fails_typed_in_time_and_without_secrets(driver, spec, (DeviceUnreachable,), timeout_seconds=3)
    unknown = replace(spec, address="no-such-host.invalid")
    await contract.fails_typed_in_time_and_without_secrets(driver, unknown, (DeviceUnreachable,), timeout_seconds=6)
    with pytest.raises(DeviceUnreachable) as failed:
        await put(driver, spec, Power.OFF)
    assert failed.value.is_end_known
    assert not failed.value.may_be_done


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_an_outlet_that_is_not_there(unit: Pdu, version: str) -> None:
    driver, spec = SnmpOutlet(), unit.spec(model="apc", plug="99", version=version)
    with pytest.raises(BadParameters, match="99"):
        await driver.read(spec, timeout_seconds=5)
    before = unit.commands
    with pytest.raises(BadParameters):
        await put(driver, unit.spec(model="apc", plug="3,99", version=version), Power.OFF)
    assert unit.commands == before


async def test_a_unit_that_has_just_started(unit: Pdu) -> None:
    spec = unit.spec(model="apc")
    with pytest.raises(DeviceNotReady):
        await SnmpOutlet().read(replace(spec, options={**spec.options, "ready_after": 3600}), timeout_seconds=5)


async def test_several_outlets(unit: Pdu) -> None:
    driver, spec = SnmpOutlet(), unit.spec(model="raritan", plug="7,8")
    family = BY_MODEL["raritan"]
    seven, eight = family.state.format(n=7), family.state.format(n=8)
    await contract.sets_and_reads_back(driver, spec)
    for states, power in (
        ((8, 8), Power.OFF), ((7, 8), Power.ON), ((8, 7), Power.ON), ((8, -1), Power.UNKNOWN), ((7, -1), Power.ON),
    ):  # fmt: skip
        unit.put(seven, states[0])
        unit.put(eight, states[1])
        assert await driver.read(spec, timeout_seconds=5) is power
    before = len(unit.commands)
    await put(driver, spec, Power.OFF)
    assert len(unit.commands) == before + 2


async def test_many_outlets_take_several_messages(unit: Pdu) -> None:
    spec = unit.spec(model="eaton", plug="1,2,4,5")
    await contract.sets_and_reads_back(SnmpOutlet(), spec)


async def test_one_outlet_of_two_fails_and_the_other_is_still_commanded(unit: Pdu) -> None:
    family, driver, spec = BY_MODEL["apc"], SnmpOutlet(), unit.spec(model="apc", plug="5,6")
    effects = unit.directory / "effects"
    kept = effects.read_text()
    effects.write_text(kept.replace(f'"{family.command_off[0].format(n=5)}"', '"1.3.6.1.4.1.318.9"'))
    try:
        with pytest.raises(DeviceError) as failed:
            await put(driver, spec, Power.OFF)
    finally:
        effects.write_text(kept)
    assert failed.value.may_be_done
    assert unit.held(family.state.format(n=5)) == family.on
    assert unit.held(family.state.format(n=6)) == family.off
    assert await driver.read(spec, timeout_seconds=5) is Power.ON


async def test_custom_objects(unit: Pdu) -> None:
    family = BY_MODEL["cyberpower"]
    options: dict[str, Any] = {
        "model": "custom", "plug": "4",
        "status_oid": family.state.replace("{n}", "{plug}"), "status_on": 1, "status_off": 2,
        "control_oid": "." + family.command_on[0].replace("{n}", "{plug}"), "control_on": 1, "control_off": 2,
    }  # fmt: skip
    await contract.sets_and_reads_back(SnmpOutlet(), unit.spec(**options))


@pytest.mark.parametrize(
    ("family", "version"),
    [*((family, "2c") for family in FAMILIES), (BY_MODEL["apc"], "1"), (BY_MODEL["eaton"], "1")],
    ids=lambda value: value if isinstance(value, str) else value.model,
)
async def test_a_unit_is_asked_what_it_is(tmp_path: Path, family: Family, version: str) -> None:
    driver = SnmpOutlet()
    with snmpd(tmp_path, udp_port(), (family,)) as pdu:
        spec = pdu.spec(version=version)
        await answers(driver, spec)
        await contract.sets_and_reads_back(driver, spec)
        with pytest.raises(BadParameters):
            await driver.read(pdu.spec(plug="99"), timeout_seconds=5)


async def test_another_unit_takes_the_address(tmp_path: Path) -> None:
    driver, port = SnmpOutlet(), udp_port()
    for index, model in enumerate(("apc", "raritan", "cyberpower")):
        directory = tmp_path / model
        directory.mkdir()
        with snmpd(directory, port, (BY_MODEL[model],)) as pdu:
            for spec in (pdu.spec(), pdu.user_spec("sha256-aes")):

                async def is_on(spec: DeviceSpec = spec) -> bool:
                    try:
                        return await driver.read(spec, timeout_seconds=3) is Power.ON
                    except DeviceError as exc:
                        assert exc.is_end_known
                        return False

                await until(is_on, what=f"unit {index} is known")


async def test_a_unit_of_another_vendor(tmp_path: Path) -> None:
    driver = SnmpOutlet()
    with snmpd(tmp_path, udp_port(), (BY_MODEL["apc"],), identity="1.3.6.1.4.1.99999.1") as pdu:
        await answers(driver, pdu.spec(model="apc"))
        with pytest.raises(NotSupported, match=r"1\.3\.6\.1\.4\.1\.99999\.1"):
            await driver.read(pdu.spec(), timeout_seconds=5)


@needs("fence_apc_snmp", "fence_eaton_snmp", "snmpget")
@pytest.mark.parametrize(
    ("agent", "model"), [("fence_apc_snmp", "apc"), ("fence_eaton_snmp", "eaton_managed")], ids=["apc", "eaton"]
)
async def test_the_fence_agent_agrees(registry: DriverRegistry, tmp_path: Path, agent: str, model: str) -> None:
    """One unit through the Debian agent and the driver: each sees what the other did, on that outlet alone."""
    driver, family = SnmpOutlet(), BY_MODEL[model]
    with snmpd(tmp_path, udp_port(), (family,)) as pdu:
        ours = pdu.spec()
        await answers(driver, ours)
        theirs = spec_of(
            agent,
            address="127.0.0.1",
            username="",
            password=None,
            options={"ipport": pdu.port, "plug": "3", "community": COMMUNITY, "power_wait": 0},
        )
        other = registry.driver_for(agent)
        await contract.reads(other, theirs, Power.ON)
        await put(driver, ours, Power.OFF)
        await contract.reads(other, theirs, Power.OFF)
        await other.set(theirs, Power.ON, timeout_seconds=20, on_started=starts_into([]))
        await contract.reads(driver, ours, Power.ON)
        await other.set(theirs, Power.OFF, timeout_seconds=20, on_started=starts_into([]))
        await contract.reads(driver, ours, Power.OFF)
        await contract.reads(driver, pdu.spec(plug="2,4"), Power.ON)


@needs("snmpsimd")
async def test_snmpsim(tmp_path: Path) -> None:
    """The old MasterSwitch table, where one object is both state and command."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    for directory in (data, cache):
        directory.mkdir()
        directory.chmod(0o777)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    (data / f"{COMMUNITY}.snmprec").write_text(
        "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.4.99\n"
        "1.3.6.1.2.1.1.3.0|67|123999999\n"
        "1.3.6.1.4.1.318.1.1.4.4.2.1.3.3|2:writecache|value=1\n"
    )
    program, port = find("snmpsimd"), udp_port()
    assert program is not None
    driver, pdu = SnmpOutlet(), Pdu(port=port, directory=tmp_path)
    # It will not run as root.
    who = ["--process-user=nobody", "--process-group=nogroup"] if os.geteuid() == 0 else []
    where = [f"--data-dir={data}", f"--cache-dir={cache}", f"--agent-udpv4-endpoint=127.0.0.1:{port}"]
    with process(program, *where, *who, cwd=tmp_path):
        for version in ("1", "2c"):
            spec = pdu.spec(version=version, ready_after=30)
            await answers(driver, spec)
            await contract.sets_and_reads_back(driver, spec)


async def test_many_at_once(unit: Pdu) -> None:
    driver = SnmpOutlet()
    for made in (unit.spec, lambda **options: unit.user_spec("sha256-aes", **options)):
        specs = [made(model="apc", plug=str(index % 8 + 1)) for index in range(50)]
        found = await asyncio.gather(*(driver.read(spec, timeout_seconds=20) for spec in specs))
        assert set(found) == {Power.ON}
