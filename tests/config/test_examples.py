"""The files in config/ load and agree with the code, and docs/configuration.md is what the code writes."""

import shutil
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fenced.beat.fenced_beat import KEYS as BEAT_KEYS
from fenced.beat.fenced_beat import from_file
from fenced.config.agent_files import ProxyAgentTable, load_proxy
from fenced.config.inventory_tables import ClusterTable, DatacenterTable, DeviceTable, HostTable, ProxyTable
from fenced.config.load import load
from fenced.config.reference import document, example
from fenced.config.tables import MainTables
from fenced.drivers.catalogue import DriverCatalogue
from fenced.drivers.reference import document as drivers_document
from fenced.model.names import HostName
from fenced.model.settings import DaemonSettings
from tests.config.files import OWN_MACHINE, certificates, resolve, told, write
from tests.needs import needs

ROOT = Path(__file__).parents[2]
REWRITE = "python -m fenced.config.reference"


def test_the_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == document(), f"{REWRITE} docs > docs/configuration.md"


def test_the_page_of_drivers_is_what_they_say() -> None:
    rewrite = "python -m fenced.drivers.reference > docs/drivers.md"
    assert (ROOT / "docs/drivers.md").read_text() == drivers_document(), rewrite


def test_the_default_file_is_what_the_code_says() -> None:
    assert (ROOT / "config/fenced.toml").read_text() == example(), f"{REWRITE} toml > config/fenced.toml"


def test_the_default_file_has_every_key_at_its_default() -> None:
    tables = tomllib.loads(example())
    assert MainTables.model_validate(tables) == MainTables()
    assert set(tables) == set(MainTables.model_fields)
    assert missing_keys(MainTables, tables) == []


def missing_keys(model: type[BaseModel], tables: dict[str, Any]) -> list[str]:
    missing = []
    for key, field in model.model_fields.items():
        if key not in tables:
            missing.append(key)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            missing += [f"{key}.{below}" for below in missing_keys(field.annotation, tables[key])]
    return missing


@pytest.mark.parametrize("model", [DatacenterTable, ClusterTable, ProxyTable, HostTable, DeviceTable, ProxyAgentTable])
def test_the_reference_names_every_key(model: type[BaseModel]) -> None:
    text = document()
    assert [key for key in model.model_fields if f"`{key}`" not in text and f"[[host.{key}]]" not in text] == []


@needs("fence_apc_snmp")
def test_the_example_and_its_inventory_load() -> None:
    loaded = load(
        ROOT / "config/fenced.toml", own_machine=OWN_MACHINE, environ={}, catalogue=DriverCatalogue(), resolve=resolve
    )
    assert loaded.configuration is not None, told(loaded.errors)
    inventory = loaded.configuration.inventory
    assert inventory.daemon == DaemonSettings(name="controller")
    assert set(inventory.hosts) == {"node-1", "node-2"}
    assert inventory.hosts[HostName("node-1")].levels == (1, 2)
    assert [mistake.path for mistake in loaded.warnings] == [
        "detection.observers",
        "host[0].device[0].driver",  # to fence_apc_snmp more than power taken away is OFF
    ]


def test_the_example_of_two_shards_loads(tmp_path: Path) -> None:
    shutil.copy(ROOT / "config/two-shards.toml", tmp_path)
    files = {"ca.crt": "ca", "db-ca.crt": "ca", "controller.crt": "cert", "controller.key": "key"}
    for name, what in files.items():
        write(tmp_path, f"tls/{name}", certificates()[what].decode())
    for secret in ("secrets/bus", "store.password", "secrets/node-1", "secrets/node-2"):
        write(tmp_path, secret, "x\n")
    file = tmp_path / "two-shards.toml"
    loaded = load(file, own_machine=OWN_MACHINE, environ={}, catalogue=DriverCatalogue(), resolve=resolve)
    assert loaded.configuration is not None, told(loaded.errors)
    inventory = loaded.configuration.inventory
    assert {shard: set(inventory.of_shard(shard).hosts) for shard in loaded.configuration.shards} == {
        "east": {"node-2"},
        "main": {"node-1"},
    }


def test_the_proxys_file_loads(tmp_path: Path) -> None:
    shutil.copy(ROOT / "config/proxy.toml", tmp_path)
    for name, what in {"px1.crt": "cert", "px1.key": "key", "ca.crt": "ca"}.items():
        write(tmp_path, f"tls/{name}", certificates()[what].decode())
    loaded = load_proxy(tmp_path / "proxy.toml", own_machine=OWN_MACHINE, environ={})
    assert loaded.configuration is not None, told(loaded.errors)
    assert loaded.configuration.allow == frozenset({"fenced-a"})
    assert set(tomllib.loads((tmp_path / "proxy.toml").read_text())["proxy"]) == set(ProxyAgentTable.model_fields)


def test_the_beats_file_loads() -> None:
    settings, lines = from_file(str(ROOT / "config/beat.toml"))
    assert settings is not None, lines
    # One file for all hosts: with a name in it, the beat of each would speak for that one.
    assert (settings.host, settings.interval, lines) == (socket.gethostname(), 5, [])
    shown = tomllib.loads((ROOT / "config/beat.toml").read_text())["beat"]
    assert shown == {key: default if isinstance(default, str) else list(default) for key, default, _, _, _ in BEAT_KEYS}
