"""`via` of [proxy_client] and [[proxy]], and [credentials.NAME] of the proxy's file: what they become,
and their mistakes.
"""

from pathlib import Path

import pytest

from fenced.config.agent_files import load_proxy
from fenced.config.load import load
from fenced.model.inventory import Inventory, Secret
from fenced.model.names import ProxyName
from tests.config.drivers import MuteAgents
from tests.config.files import OWN_MACHINE, certificates, told, write

TLS = 'ca_file = "ca"\ncert_file = "cert"\nkey_file = "key"\n'
PROXY = '[[proxy]]\nname = "px1"\nurl = "https://px1.example.org"\n'


def loaded(directory: Path, client: str = "", proxy: str = "") -> tuple[Inventory | None, list[str]]:
    for name, content in certificates().items():
        write(directory, name, content.decode())
    write(directory, "way-password", "S3cret\n").chmod(0o600)
    found = load(
        write(directory, "fenced.toml", f"[proxy_client]\n{TLS}{client}\n{PROXY}{proxy}\n"),
        own_machine=OWN_MACHINE, environ={}, catalogue=MuteAgents(), resolve=lambda names: {},
    )  # fmt: skip
    inventory = None if found.configuration is None else found.configuration.inventory
    return inventory, [mistake.path for mistake in found.errors]


def test_the_common_way_is_every_proxys_but_of_those_that_say_otherwise(tmp_path: Path) -> None:
    client = 'via = "http://out.example.org:3128"\nvia_username = "fenced"\nvia_password_file = "way-password"\n'
    more = '[[proxy]]\nname = "px2"\nurl = "https://px2.example.org"\nvia = "direct"\n'
    more += '[[proxy]]\nname = "px3"\nurl = "https://px3.example.org"\nvia = "http://other.example.org:8080"\n'
    more += '[[proxy]]\nname = "px4"\nurl = "http://127.0.0.1:8471"\ncalls = 3\n'
    inventory, errors = loaded(tmp_path, client, more)
    assert inventory is not None, errors
    vias = {str(name): proxy.via for name, proxy in inventory.proxies.items()}
    common, other = vias["px1"], vias["px3"]
    assert common is not None and (common.url, common.username) == ("http://out.example.org:3128", "fenced")
    assert common.password == Secret("S3cret") and "S3cret" not in repr(common)
    assert other is not None and (other.url, other.username) == ("http://other.example.org:8080", "")
    assert vias["px2"] is None and vias["px4"] is None, "asked directly; and loopback needs no way"
    assert inventory.proxies[ProxyName("px4")].calls == 3


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ('via = "https://out:3128"', "via"),
        ('via = "http://out"', "via"),
        ('via = "http://fenced:S3cret@out:3128"', "via"),
        ('via_username = "fenced"', "via"),
        ('via = "http://out:3128"\nvia_password_file = "way-password"', "via_username"),
        ('via = "http://out:3128"\nvia_username = "f"\nvia_password_file = "none"', "via_password_file"),
    ],
)
def test_mistakes_of_a_way(tmp_path: Path, key: str, path: str) -> None:
    assert loaded(tmp_path, client=key)[1] == [f"proxy_client.{path}"]
    errors = loaded(tmp_path, proxy=key)[1]
    assert len(errors) == 1 and errors[0].endswith(f".{path}")


def test_a_way_leads_to_no_plain_proxy(tmp_path: Path) -> None:
    proxy = '[[proxy]]\nname = "px2"\nurl = "http://127.0.0.1:1"\nvia = "http://out:3128"'
    errors = loaded(tmp_path, proxy=proxy)[1]
    assert len(errors) == 1 and errors[0].endswith(".via")


def stored(directory: Path, text: str) -> tuple[object, list[str]]:
    write(directory, "pw", "S3cret\n").chmod(0o600)
    file = write(directory, "proxy.toml", f'[proxy]\nlisten = "127.0.0.1:1"\n{text}\n')
    found = load_proxy(file, own_machine=OWN_MACHINE, environ={"PRIV": "S3cret-priv"})
    assert "S3cret" not in str(told(found.errors))
    credentials = None if found.configuration is None else found.configuration.credentials
    return credentials, [mistake.path for mistake in found.errors]


def test_a_stored_credential(tmp_path: Path) -> None:
    credentials, errors = stored(
        tmp_path,
        '[credentials.pdus]\nusername = "f"\npassword_file = "pw"\nsecrets = { snmp_priv_passwd_env = "PRIV" }\n'
        'addresses = ["10.9.0.0/24"]\nclients = ["CN=fenced-a"]\ndrivers = ["fence_apc_snmp"]\n'
        'options = ["snmp_priv_prot"]',
    )
    assert isinstance(credentials, dict), errors
    pdus = credentials["pdus"]
    assert (pdus.username, pdus.password) == ("f", Secret("S3cret"))
    assert pdus.secrets == (("snmp_priv_passwd", Secret("S3cret-priv")),)
    assert (pdus.clients, pdus.drivers) == (frozenset({"fenced-a"}), frozenset({"fence_apc_snmp"}))
    assert "S3cret" not in repr(pdus)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('[credentials.a]\npassword_file = "pw"', ["addresses"]),
        ("[credentials.a]\naddresses = []", ["addresses"]),
        ('[credentials.a]\naddresses = ["*", "0.0.0.0/0"]', ["addresses[0]", "addresses[1]"]),
        ('[credentials.a]\naddresses = ["10.9.0.1"]\npassword = "S3cret"', ["password"]),
        ('[credentials.a]\naddresses = ["10.9.0.1"]\nclients = ["fenced-a"]', ["clients[0]"]),
        ('[credentials.a]\naddresses = ["10.9.0.1"]\nsecrets = { community = "S3cret" }', ["secrets.community"]),
        ('[credentials.a]\naddresses = ["10.9.0.1"]\nsecrets = { key_file = "none" }', ["secrets.key_file"]),
        ('[credentials."a b"]\naddresses = ["10.9.0.1"]', [""]),
    ],
)
def test_mistakes_of_a_stored_credential(tmp_path: Path, text: str, paths: list[str]) -> None:
    credentials, errors = stored(tmp_path, text)
    assert credentials is None
    name = "a b" if "a b" in text else "a"
    assert errors == [f"credentials.{name}.{path}".rstrip(".") for path in paths]
