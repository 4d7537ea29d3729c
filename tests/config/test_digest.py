"""The digest of an inventory: the same for the same content, and nothing of a secret in it."""

from pathlib import Path

import pytest

from fenced.config.digest import digest
from fenced.model.inventory import Inventory
from tests.config.files import CLUSTERS, load_files, write

MAIN = """
[daemon]
name = "fenced-a"
[detection]
grace = "30s"
"""
DEVICE = """
[[host.device]]
name = "bmc"
driver = "redfish"
address = "https://10.9.0.{number}"
username = "fencing"
password_file = "secret-{number}"
"""
HOST = """
[[host]]
name = "node-{number}"
cluster = "c1"
"""
ONE, TWO = (HOST.format(number=number) + DEVICE.format(number=number) for number in (1, 2))
WHOLE = CLUSTERS + ONE + TWO


def loaded(folder: Path, inventory: str = WHOLE, main: str = MAIN) -> Inventory:
    for number in (1, 2):
        write(folder, f"inventory/secret-{number}", f"password-{folder.name}\n")
    found = load_files(folder, main, inventory={"hosts.toml": inventory})
    assert found.configuration is not None, found.errors
    return found.configuration.inventory


@pytest.fixture
def first(tmp_path: Path) -> str:
    return loaded(tmp_path / "first").digest


def test_a_loaded_inventory_has_the_digest_of_its_content(tmp_path: Path, first: str) -> None:
    assert len(first) == 16 and int(first, 16)
    assert digest(loaded(tmp_path / "again")) == first


def test_another_daemon_with_the_same_files_in_another_order_has_the_same(tmp_path: Path, first: str) -> None:
    main = MAIN.replace("fenced-a", "fenced-b")
    assert loaded(tmp_path / "other", CLUSTERS + TWO + ONE, main).digest == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('address = "https://10.9.0.1"', 'address = "https://10.9.0.7"'),
        ('name = "bmc"', 'name = "bmc"\nidentity = "8f2a1c5e-0000-4000-8000-000000000001"'),
        ('name = "bmc"', 'name = "bmc"\nlevel = 2'),
        ('name = "node-1"', 'name = "node-9"'),
        ('name = "node-1"', 'name = "node-1"\nprotected = true'),
        ('name = "node-1"', 'name = "node-1"\ndrill = true'),
        ('cluster = "c1"\n\n', 'cluster = "c1"\nfence_action = "off"\n\n'),
    ],
)
def test_every_change_of_the_inventory_changes_it(tmp_path: Path, first: str, old: str, new: str) -> None:
    assert old in WHOLE
    assert loaded(tmp_path / "changed", WHOLE.replace(old, new, 1)).digest != first


def test_a_change_of_a_setting_changes_it(tmp_path: Path, first: str) -> None:
    assert loaded(tmp_path / "changed", main=MAIN.replace("30s", "31s")).digest != first


def test_logins_and_options_that_may_be_secret_leave_it_as_it_is(tmp_path: Path, first: str) -> None:
    """Otherwise a reader of the bus could try passwords until the digest is the same."""
    assert loaded(tmp_path / "renamed", WHOLE.replace('"fencing"', '"other"')).digest == first
    made = loaded(tmp_path / "one")
    host = made.hosts[next(iter(made.hosts))]
    options = host.devices[0].spec.options
    assert isinstance(options, dict)
    options |= {"api_token": "one", "plain": "one"}
    one = digest(made)
    options["api_token"] = "two"
    assert digest(made) == one
    options["plain"] = "two"
    assert digest(made) != one


def test_without_observers_keys_it_is_that_of_earlier_versions(first: str) -> None:
    """Two controllers of different versions must not look as if they had different inventories."""
    assert first == "7b6f300d9882462b"


@pytest.mark.parametrize(
    "keys",
    ["[detection]\nobservers = 3\n", '[detection]\nreferences = ["10.0.0.1"]\n'],
)
def test_what_observers_must_fulfil_changes_it(keys: str, tmp_path: Path, first: str) -> None:
    main = MAIN.replace("[detection]\n", keys)
    assert loaded(tmp_path / "changed", main=main).digest != first


def test_a_further_address_changes_it(tmp_path: Path, first: str) -> None:
    changed = WHOLE.replace('name = "node-1"', 'name = "node-1"\naddresses = { storage = "10.1.0.1" }')
    assert loaded(tmp_path / "changed", changed).digest != first


def test_the_domain_of_the_daemons_machine_does_not(tmp_path: Path, first: str) -> None:
    main = MAIN.replace('name = "fenced-a"', 'name = "fenced-a"\ndomain = "rack-7"')
    found = loaded(tmp_path / "changed", main=main)
    assert found.digest == first and found.daemon.domain == "rack-7"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "c1"', 'name = "c1"\nsaving = { reserve = 2 }'),
        ('name = "c1"', 'name = "c1"\nsaving = { waking = { fleet = 2 } }'),
        ('name = "node-1"', 'name = "node-1"\nsaving = false'),
    ],
)
def test_saving_changes_it(old: str, new: str, tmp_path: Path, first: str) -> None:
    assert loaded(tmp_path / "changed", WHOLE.replace(old, new, 1)).digest != first


def test_saving_at_its_defaults_does_not(tmp_path: Path, first: str) -> None:
    said = WHOLE.replace('name = "c1"', 'name = "c1"\nsaving = { enabled = false, waking = { rack = 2 } }', 1)
    said = said.replace('name = "node-1"', 'name = "node-1"\nsaving = true', 1)
    assert loaded(tmp_path / "same", said, MAIN + "[saving]\nreserve = 1\n").digest == first


def test_the_same_saving_in_another_place_gives_the_same(tmp_path: Path) -> None:
    main = MAIN + '[saving]\nidle_for = "1h"\n'
    cluster = WHOLE.replace('name = "c1"', 'name = "c1"\nsaving = { idle_for = "1h" }', 1)
    assert loaded(tmp_path / "main", main=main).digest == loaded(tmp_path / "cluster", cluster).digest


def test_the_kinds_of_evidence_are_told_from_those_that_were_the_default(tmp_path: Path, first: str) -> None:
    gates = "[gates]\nlive_evidence = {}\n[detection]\n"
    earlier = loaded(tmp_path / "earlier", main=MAIN.replace("[detection]\n", gates.format('["storage_lease"]')))
    assert earlier.digest != first
