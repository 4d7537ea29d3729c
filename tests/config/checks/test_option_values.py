"""Option values are checked when the file is read, even for an agent without metadata.

So are options that name programs and files of the machine that serves the device.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from fenced.config.load import Loaded
from fenced.drivers.agents.metadata import AgentMetadata
from fenced.drivers.catalogue import describing, natives
from fenced.model.drivers import Describe, DriverDescription
from tests.config.files import load_files, told, write

ROGUE = "-H rogue"


class AllInstalled:
    """Every agent is installed and has no metadata, so that only names are known."""

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        return describing(dict.fromkeys(names, AgentMetadata()))

    def natives(self) -> Sequence[DriverDescription]:
        return natives()


def load_device(directory: Path, device: str) -> Loaded:
    write(directory, "secret", "geheim\n")
    return load_files(
        directory,
        '[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n[[host]]\nname = "n"\n'
        f'[[host.device]]\nname = "d"\n{device}\n',
        catalogue=AllInstalled(),
    )


def device(driver: str, options: str, more: str = "") -> str:
    more = more or f'address = "{"https://" if driver == "redfish" else ""}10.9.1.1"'
    return f'driver = "{driver}"\n{more}\noptions = {{ {options} }}\n'


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("fence_ipmilan", f'cipher = "3 {ROGUE}"'),
        ("fence_ipmilan", 'cipher = "0x3"'),
        ("fence_ipmilan", f'Cipher = "3 {ROGUE}"'),
        ("fence_ipmilan", f'"login-timeout" = "5 {ROGUE}"'),
        ("fence_ipmilan", f'power_wait = "{ROGUE}"'),
        ("fence_ipmilan", f'ipport = "623 {ROGUE}"'),
        ("fence_ipmilan", f'auth = "md5 {ROGUE}"'),
        ("fence_ipmilan", f'privlvl = "user {ROGUE}"'),
        ("fence_ipmilan", f'target = "0x20 {ROGUE}"'),
        ("fence_ipmilan", f'ipmitool_path = "/usr/bin/ipmitool {ROGUE}"'),
        ("fence_ipmilan", f'plug = "{ROGUE}"'),
        ("fence_idrac", f'cipher = "3 {ROGUE}"'),
        ("fence_apc", 'plug = "1; reboot"'),
        ("fence_apc", 'plug = "-1"'),
        ("fence_apc", 'port = "$(id)"'),
        ("fence_apc", 'plug = "1", switch = "1|2"'),
        ("fence_virsh", 'plug = "a `id`"'),
        ("fence_virsh", 'plug = "a --graceful"'),
        ("fence_virsh", 'plug = "1", identity_file = "/k -oProxyCommand=x"'),
        ("fence_lpar", 'plug = "1", managed = "x;y"'),
        ("fence_redfish", 'systems_uri = "@evil.example/redfish"'),
        ("fence_redfish", '"systems-uri" = "//evil.example/"'),
        ("fence_rhevm", 'plug = "1", api_path = ".evil.example/"'),
        ("fence_vmware_soap", 'plug = "-x"'),
        ("redfish", 'system = "-1"'),
        ("redfish", 'system = "1;2"'),
    ],
)
def test_a_value_that_could_become_something_else_is_a_mistake(driver: str, options: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device(driver, options))
    assert loaded.errors and all(".options." in mistake.path for mistake in loaded.errors), told(loaded.errors)
    assert len(loaded.errors) == 1, told(loaded.errors)


@pytest.mark.parametrize(
    "more", [f'address = "10.9.1.1 {ROGUE}"', 'address = "-H"', 'address = "10.9.1.1"\nusername = "-oProxyCommand=x"']
)
def test_an_address_or_user_name_that_could_become_something_else_is_a_mistake(more: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device("fence_apc", 'plug = "1"', more))
    assert [mistake.path.rpartition(".")[2] for mistake in loaded.errors] in (["address"], ["username"]), told(
        loaded.errors
    )


def test_a_secret_that_could_become_something_else_is_a_mistake(tmp_path: Path) -> None:
    more = 'address = "10.9.1.1"\nsecrets = { hexadecimal_kg_file = "secret" }'
    loaded = load_device(tmp_path, device("fence_ipmilan", "cipher = 3", more))
    assert [mistake.path.rpartition("].")[2] for mistake in loaded.errors] == ["secrets.hexadecimal_kg"]
    assert "geheim" not in told(loaded.errors)[0]


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        (
            "fence_ipmilan",
            'cipher = "17", login_timeout = "5", power_wait = 1.5, target = "0x20", privlvl = "operator"',
        ),
        ("fence_ipmilan", 'hexadecimal_kg = "0xAB12"'),
        ("fence_apc", 'plug = "Outlet 3", switch = 1'),
        ("fence_apc", 'plug = "1:3"'),
        ("fence_wti", 'plug = "rack1:3,rack1:4"'),
        ("fence_virsh", 'plug = "node-1.example.org"'),
        ("fence_virsh", 'plug = "4c4c4544-0042-3510-8051-b4c04f595831"'),
        ("fence_bladecenter", 'plug = "3"'),
        ("fence_lpar", 'plug = "lpar_1", managed = "Server-9117-MMA-SN10"'),
        ("fence_vmware_soap", 'plug = "/DC1/vm/Discovered virtual machine/Büro (alt) - node 1"'),
        ("fence_pve", 'plug = "101", pve_node = "pve-1"'),
        ("fence_redfish", 'systems_uri = "/redfish/v1/Systems/System.Embedded.1"'),
        ("fence_rhevm", 'plug = "vm 1", api_path = "/ovirt-engine/api"'),
        ("fence_apc", 'plug = 7, ip = "fe80::1%eth0", ssh = true, ssh_options = "-1 -c blowfish"'),
        ("redfish", 'system = "/redfish/v1/Systems/1"'),
        ("redfish", 'system = "Y130UF00000J    "'),
    ],
)
def test_names_and_values_of_real_devices_are_accepted(driver: str, options: str, tmp_path: Path) -> None:
    more = "level = 1" if "ip =" in options else ""
    loaded = load_device(tmp_path, device(driver, options, more))
    assert told(loaded.errors) == []


@pytest.mark.parametrize(
    ("driver", "option"),
    [
        ("fence_ipmilan", "ipmitool_path"),
        ("fence_ipmilan", "ipmitool-path"),
        ("fence_ipmilan", "sudo_path"),
        ("fence_apc", "ssh_options"),
        ("fence_apc", "password_script"),
        ("fence_apc_snmp", "snmpget_path"),
    ],
)
def test_an_option_that_names_a_program_gives_a_warning(driver: str, option: str, tmp_path: Path) -> None:
    loaded = load_device(tmp_path, device(driver, f'plug = "1", "{option}" = "/usr/local/bin/tool"'))
    there = [mistake.reason for mistake in loaded.warnings if mistake.path.endswith(f".options.{option}")]
    assert len([reason for reason in there if "a proxy refuses it" in reason]) == 1, told(loaded.warnings)


@pytest.mark.parametrize("option", ['fingerprint = "aa"', "insecure = true"])
def test_pins_beside_a_credential_of_the_proxy_give_a_warning(option: str, tmp_path: Path) -> None:
    more = 'address = "https://10.9.1.1"\ncredential = "at-proxy:bmc"\nproxies = ["p"]'
    loaded = load_device(tmp_path, device("redfish", option, more))
    assert any("pins" in mistake.reason for mistake in loaded.warnings), told(loaded.warnings)
