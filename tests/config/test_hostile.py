"""Any file gives mistakes or a configuration, never an exception, and never shows a secret."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fenced.config.inventory_tables import LISTS, DeviceTable, HostTable, ProxyTable
from fenced.config.mistakes import VALUE_CHARS_MAX, Mistakes, Where, shown
from fenced.config.resolve import RESOLVE_SECONDS_MAX, resolve_names
from fenced.config.tables import MainTables
from fenced.config.validate import parse
from tests.config.files import load_files, told, write

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70000), st.floats(), st.text(max_size=8),
    st.sampled_from(["5s", "node-1", "", "\n", "engine"]),
)  # fmt: skip
KEYS = st.sampled_from([*HostTable.model_fields, *DeviceTable.model_fields, *ProxyTable.model_fields, "x", ""])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=12,
)
NAMED = st.dictionaries(KEYS, VALUES, max_size=6).map(lambda table: {"name": "node-1", "driver": "redfish", **table})
INVENTORIES = st.dictionaries(
    st.sampled_from([*LISTS, "x"]), st.one_of(VALUES, st.lists(NAMED, max_size=3)), max_size=4
)


@pytest.fixture(scope="module")
def directory() -> Any:
    path = Path(tempfile.mkdtemp(prefix="fenced-test-"))
    yield path
    shutil.rmtree(path)


@settings(max_examples=150, deadline=None)
@given(INVENTORIES)
def test_any_inventory_ends_in_mistakes_or_a_configuration(directory: Path, tables: dict[str, Any]) -> None:
    loaded = load_files(
        directory, '[inventory]\nfiles = ["inventory/*"]\n', inventory={"fuzz.json": json.dumps(tables)}
    )
    assert (loaded.configuration is None) == bool(loaded.errors)
    for mistake in loaded.errors:
        assert mistake.reason
        assert len(mistake.value) <= VALUE_CHARS_MAX


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.one_of(KEYS, st.integers(), st.none()), VALUES, max_size=5))
def test_any_yaml_ends_in_mistakes_or_a_configuration(directory: Path, table: dict[Any, Any]) -> None:
    text = yaml.safe_dump({"host": [{"name": "a", "device": [table]}, table]})
    loaded = load_files(directory, '[inventory]\nfiles = ["inventory/*.yaml"]\n', inventory={"fuzz.yaml": text})
    assert (loaded.configuration is None) == bool(loaded.errors), told(loaded.errors)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(MainTables.model_fields)), VALUES, max_size=4))
def test_any_main_table_ends_in_mistakes(tables: dict[str, Any]) -> None:
    # TOML has fewer shapes than this; any output of a parser must be handled.
    mistakes = Mistakes()
    parsed = parse(MainTables, tables, Where("x"), mistakes)
    assert bool(parsed.refused) == bool(mistakes.errors)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("bus.password", "geheim", "***"),
        ("host[0].device[0].options.passwd", "geheim", "***"),
        ("host[0].device[0].options.snmp-priv-passwd", "geheim", "***"),
        ("api.token", "geheim", "***"),
        ("bus.url", "mqtt://u:geheim@h", "mqtt://***@h"),
        ("x", ["mqtt://u:geheim@h"], '["mqtt://***@h"]'),
        ("x", {"password": "geheim"}, "(a table)"),
        ("x", [{"password": "geheim"}], "(a list of 1)"),
        ("host[0].device[0].options", "ip=1 password=geheim", "***"),
        ("bus.password_file", "secrets/password", "secrets/password"),
        ("x", "a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("x", "y" * 500, "y" * 117 + "..."),
        ("x", None, ""),
        ("x", True, "true"),
    ],
)
def test_what_a_mistake_shows(path: str, value: object, text: str) -> None:
    assert shown(path, value) == text


@pytest.mark.parametrize("name", ["fifo", "folder", "binary", "deep"])
def test_unreadable_inventory_files_are_one_mistake_each(name: str, tmp_path: Path) -> None:
    (tmp_path / "inventory/folder.toml").mkdir(parents=True)
    write(tmp_path, "inventory/deep.json", '{"host": ' + "[" * 100_000 + "]" * 100_000 + "}")
    (tmp_path / "inventory/binary.toml").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "inventory/fifo.toml")
    suffix = "json" if name == "deep" else "toml"
    loaded = load_files(tmp_path, f'[inventory]\nfiles = ["inventory/{name}.{suffix}"]\n')
    assert len(loaded.errors) == 1


def test_names_are_resolved_within_a_bound() -> None:
    found = resolve_names({"localhost", "nowhere.invalid", "a" * 300})
    assert found.keys() == {"localhost"}
    assert found["localhost"] & {"127.0.0.1", "::1"}
    assert RESOLVE_SECONDS_MAX <= 5
