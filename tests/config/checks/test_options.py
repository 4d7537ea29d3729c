"""A device's options and secrets against the description of its driver or agent."""

from dataclasses import replace
from pathlib import Path

import pytest

from fenced.config.load import Loaded
from fenced.model.inventory import Device
from fenced.model.names import HostName
from tests.config.drivers import BOARD, RACK, Told
from tests.config.files import load_files, told, write
from tests.drivers.programs import METADATA

AGENT = METADATA.replace(
    "</parameters>",
    """<parameter name="port" required="1" deprecated="1"><content type="string"/></parameter>
<parameter name="login" deprecated="1"><content type="string"/></parameter>
<parameter name="passwd" deprecated="1"><content type="string"/></parameter>
<parameter name="snmp_priv_passwd"><content type="string"/></parameter>
<parameter name="ssl" ><content type="boolean" default="1"/></parameter>
<parameter name="lanplus"><content type="boolean"/></parameter>
<parameter name="ipport"><content type="integer" default="22"/></parameter>
<parameter name="power_timeout"><content type="second" default="20"/></parameter>
<parameter name="snmp_version"><content type="select"><option value="1"/><option value="3"/></content></parameter>
<parameter name="disable_timeout"><content type="string"/></parameter>
<parameter name="systems_uri" obsoletes="systems-uri"><content type="string"/></parameter>
<parameter name="systems-uri" deprecated="1"><content type="string"/></parameter>
<parameter name="debug_file"><content type="string"/></parameter></parameters>""",
).replace('name="plug" required', 'name="plug" obsoletes="port" required')
CATALOGUE = Told(RACK, BOARD, agents={"fence_made": AGENT})


def load_device(directory: Path, device: str, *, host: str = "") -> Loaded:
    write(directory, "secret", "geheim\n")
    return load_files(
        directory,
        f'[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n[[host]]\nname = "n"\n{host}\n'
        f'[[host.device]]\nname = "d"\n{device}\n',
        catalogue=CATALOGUE,
    )


def device_of(loaded: Loaded) -> Device:
    assert loaded.configuration is not None, told(loaded.errors)
    return loaded.configuration.inventory.hosts[HostName("n")].devices[0]


def rack(options: str = "outlet = 7", more: str = "") -> str:
    return f'driver = "rack"\naddress = "10.9.1.1"\noptions = {{ {options} }}\n{more}'


def agent(options: str = "", more: str = "", address: str = 'address = "10.9.1.1"') -> str:
    return f'driver = "fence_made"\ncuts_power = true\n{address}\noptions = {{ {options} }}\n{more}'


@pytest.mark.parametrize(
    "device",
    [
        rack(),
        rack('outlet = 48, port = 1161, version = "2c", wait = 1.5, fast = false, bank = "b"'),
        rack(more='secrets = { privacy_file = "secret" }\n'),
        'driver = "board"\naddress = "bmc"\nidentity = "4c4c"',
        agent(),
        agent('plug = "7", lanplus = true, ipport = 23, power_timeout = "30", snmp_version = 3, disable_timeout = 1'),
        agent('lanplus = "yes", systems_uri = "/x", ip = "10.9.1.1"'),
        agent('ip = "10.9.1.1"', address=""),
        agent(more='secrets = { snmp_priv_passwd_file = "secret" }\nusername = "u"\npassword_file = "secret"'),
        agent(more='credential = "at-proxy:x"\nproxies = ["p"]'),
    ],
)
def test_options_that_a_driver_takes_give_no_mistake(device: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device)
    assert told(loaded.errors) == []
    assert [mistake for mistake in loaded.warnings if "device" in mistake.path] == []


@pytest.mark.parametrize(
    ("device", "path", "reason"),
    [
        (rack(""), "options.outlet", "is missing"),
        (rack('outlet = "7"'), "options.outlet", "without quotes"),
        (rack("outlet = 0"), "options.outlet", "at least 1"),
        (rack("outlet = 49"), "options.outlet", "at most 48"),
        (rack("outlet = true"), "options.outlet", "a number"),
        (rack("outlet = 1.5"), "options.outlet", "whole number"),
        (rack("outlet = 7, version = 4"), "options.version", "one of: 1, 2c, 3"),
        (rack('outlet = 7, version = "4"'), "options.version", "one of: 1, 2c, 3"),
        (rack('outlet = 7, fast = "no"'), "options.fast", "true or false"),
        (rack("outlet = 7, prot = 161"), "options.prot", "did you mean port?"),
        (rack("outlet = 7, x = 1"), "options.x", "rack has bank, fast, outlet"),
        (rack(more='secrets = { public_file = "secret" }'), "secrets.public", "takes no such secret"),
        ('driver = "rack"\noptions = { outlet = 7 }', "address", "is missing"),
        ('driver = "rak"', "driver", "no such driver"),
        (agent(address=""), "address", "is missing"),
        (agent('system_uri = "/x"'), "options.system_uri", "did you mean systems_uri?"),
        (agent('pcmk_host_list = "n"'), "options.pcmk_host_list", "Pacemaker"),
        (agent("ipport = 1.5"), "options.ipport", "whole number"),
        (agent('power_timeout = "30s"'), "options.power_timeout", "whole number"),
        (agent('snmp_version = "2"'), "options.snmp_version", "one of: 1, 3"),
        (agent('lanplus = "maybe"'), "options.lanplus", "true or false"),
        (agent("systems_uri = false"), "options.systems_uri", "in quotes"),
        (agent("ipport = false"), "options.ipport", "a number"),
        (agent("snmp_version = true"), "options.snmp_version", "text"),
        (agent('ip = "10.9.1.2"'), "options.ip", "give only one of them"),
        (agent(more='secrets = { other_file = "secret" }'), "secrets.other", "no such secret"),
    ],
)
def test_a_mistake_is_reported_at_its_place(device: str, path: str, reason: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device)
    assert [mistake.path for mistake in loaded.errors] == [f"host[0].device[0].{path}"], told(loaded.errors)
    assert reason in loaded.errors[0].reason


@pytest.mark.parametrize(
    ("device", "path", "reason"),
    [
        (agent('port = "7"'), "options.port", "use plug"),
        (agent("ssl = false"), "options.ssl", "default is on"),
        (agent('debug_file = "/var/log/x"'), "options.debug_file", "secrets"),
        (agent('"systems-uri" = "/x"'), "options.systems-uri", "use systems_uri"),
        (agent("unknown = 1", 'proxies = ["p"]'), "options.unknown", "this machine's version"),
        (rack("outlet = 7, old_version = '3'"), "options.old_version", "use version"),
    ],
)
def test_a_warning_is_reported_at_its_place(device: str, path: str, reason: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device)
    assert told(loaded.errors) == []
    told_there = [mistake.reason for mistake in loaded.warnings if mistake.path == f"host[0].device[0].{path}"]
    assert len([said for said in told_there if reason in said]) == 1, told(loaded.warnings)


def test_a_warning_that_many_devices_share_is_one(tmp_path: Path) -> None:
    more = "".join(
        f'[[host]]\nname = "n{number}"\n[[host.device]]\nname = "d"\n' + agent(f'port = "{number}"')
        for number in range(3)
    )
    loaded = load_device(tmp_path, agent('port = "7"') + more)
    assert told(loaded.errors) == []
    found = [mistake for mistake in loaded.warnings if mistake.path.endswith(".port")]
    assert [mistake.path for mistake in found] == ["host[0].device[0].options.port"]
    assert "3 more devices" in found[0].reason


@pytest.mark.parametrize(
    ("settle", "settle_seconds", "after_return_seconds"), [("", 0.0, 7.0), ("0s", 0.0, 0.0), ("3s", 3.0, 3.0)]
)
def test_settle_after_a_return_is_the_drivers_unless_configured(
    settle: str, settle_seconds: float, after_return_seconds: float, tmp_path: Path
) -> None:
    device = device_of(load_device(tmp_path, rack(more=f'settle = "{settle}"' if settle else "")))
    assert (device.settle_seconds, device.settle_after_return_seconds) == (settle_seconds, after_return_seconds)


def test_secrets_and_credentials_reach_the_driver(tmp_path: Path) -> None:
    spec = device_of(load_device(tmp_path, agent(more='secrets = { snmp_priv_passwd_file = "secret" }'))).spec
    assert spec.secret("snmp_priv_passwd") == "geheim"
    assert "geheim" not in repr(spec)
    spec = device_of(load_device(tmp_path, agent(more='credential = "at-proxy:pdu-1"\nproxies = ["p"]'))).spec
    assert (spec.credential, spec.username, spec.password) == ("pdu-1", "", None)


BOARDS = 'driver = "board"\naddress = "bmc"\nlevel = 2\n'


@pytest.mark.parametrize(
    ("host", "own", "identity"), [('identity = "h"', "", "h"), ('identity = "h"', 'identity = "d"', "d"), ("", "", "")]
)
def test_an_identity_goes_to_the_drivers_that_can_compare_it(
    host: str, own: str, identity: str, tmp_path: Path
) -> None:
    outlet = f"{own}\n[[host.device]]\nname = 'outlet'\n" + rack()
    loaded = load_device(tmp_path, BOARDS + outlet, host=host)
    assert loaded.configuration is not None, told(loaded.errors)
    board, outlet_device = loaded.configuration.inventory.hosts[HostName("n")].devices
    assert (board.spec.identity, board.identity) == (identity, identity)
    assert outlet_device.spec.identity == ""


def test_an_identity_that_no_driver_compares_is_refused_with_the_drivers_that_could(tmp_path: Path) -> None:
    loaded = load_device(tmp_path, rack(), host='identity = "4c"')
    assert [mistake.path for mistake in loaded.errors] == ["host[0].identity"]
    assert "board" in loaded.errors[0].reason


def test_plugs_are_identified_by_the_description(tmp_path: Path) -> None:
    assert device_of(load_device(tmp_path, rack())).spec.plug_id == "rack|10.9.1.1:161|7"
    other = device_of(load_device(tmp_path, rack("outlet = 7, port = 1161, bank = 'b'"))).spec
    assert (other.plug_id, other.unit_id) == ("rack|10.9.1.1:1161|7?bank=b", "10.9.1.1:1161")


def test_two_drivers_of_one_family_are_one_plug(tmp_path: Path) -> None:
    twin = replace(RACK, name="twin", family="rack")
    loaded = load_files(
        tmp_path,
        "".join(
            f'[[host]]\nname = "{name}"\n[[host.device]]\nname = "d"\n' + rack().replace('"rack"', f'"{name}"')
            for name in ("rack", "twin")
        ),
        catalogue=Told(RACK, twin),
    )
    assert ["the same plug as rack" in mistake.reason for mistake in loaded.errors] == [True]
