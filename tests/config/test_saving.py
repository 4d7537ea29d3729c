"""[saving] arrives with every key; a cluster overrides any of them, and a host only says whether it may sleep."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.config.saving_table import SavingTable
from fenced.config.settings import Settings
from fenced.config.tables import MainTables
from fenced.model.names import HostName
from fenced.model.settings import SavingSettings
from tests.config.files import load_ok
from tests.config.pieces import host

ALL = """
enabled = true
reserve = 2
min_on = 4
asleep_at_most = 12.5
idle_for = "5s"
awake_for = "6s"
pause = "7s"
veto = "8s"
soft_off = "reporter"
soft_timeout = "9m"
retry_after = "10s"
proven_on = "11d"
consent = ["scheduler", "storage"]
watch = "12s"
waking = { cluster = 13, rack = 14, fleet = 15 }
"""
ARRIVED = SavingSettings(
    is_enabled=True,
    reserve=2,
    min_on=4,
    asleep_at_most_percent=12.5,
    idle_for_seconds=5,
    awake_for_seconds=6,
    pause_seconds=7,
    veto_seconds=8,
    soft_off_by="reporter",
    soft_timeout_seconds=540,
    retry_after_seconds=10,
    proven_on_seconds=11 * 86400,
    consent=("scheduler", "storage"),
    waking_cluster=13,
    waking_rack=14,
    waking_fleet=15,
    watch_interval_seconds=12,
)
HOSTS = host("n", more='cluster = "c1"') + host("m", more='cluster = "c2"') + host("alone")


def saved(directory: Path, main: str) -> dict[str, SavingSettings]:
    """The hosts have no devices, so with `enabled` they would be refused."""
    inventory = load_ok(directory, main + HOSTS).inventory
    return {name: found.settings.saving for name, found in inventory.hosts.items()}


def clusters(first: str = "", second: str = "") -> str:
    return f'[[cluster]]\nname = "c1"\n{first}\n[[cluster]]\nname = "c2"\n{second}\n'


def test_the_defaults_are_those_of_the_model(tmp_path: Path) -> None:
    assert set(saved(tmp_path, clusters()).values()) == {SavingSettings()}


def test_every_key_arrives(tmp_path: Path) -> None:
    assert Settings(MainTables.model_validate({"saving": tomllib.loads(ALL)})).saving() == ARRIVED
    main = "[saving]\n" + ALL.replace("enabled = true", "enabled = false") + clusters()
    assert set(saved(tmp_path, main).values()) == {replace(ARRIVED, is_enabled=False)}


def test_a_cluster_overrides_key_by_key_and_waking_in_part(tmp_path: Path) -> None:
    main = '[saving]\nreserve = 5\nidle_for = "1h"\nwaking = { cluster = 6, fleet = 30 }\n'
    found = saved(tmp_path, main + clusters("saving = { reserve = 0, waking = { cluster = 7, rack = 1 } }"))
    shared = SavingSettings(reserve=5, idle_for_seconds=3600, waking_cluster=6, waking_fleet=30)
    assert found["m"] == found["alone"] == shared
    assert found["n"] == SavingSettings(
        reserve=0, idle_for_seconds=3600, waking_cluster=7, waking_rack=1, waking_fleet=30
    )


def test_a_cluster_can_set_a_key_back_to_its_default(tmp_path: Path) -> None:
    assert saved(tmp_path, "[saving]\nreserve = 5\n" + clusters("saving = { reserve = 1 }"))["n"].reserve == 1


def test_saving_is_beside_the_other_overrides_of_a_cluster(tmp_path: Path) -> None:
    main = clusters('grace = "1m"\nsaving = { min_on = 9 }', 'grace = "1m"')
    inventory = load_ok(tmp_path, main + HOSTS).inventory
    settings = [inventory.hosts[HostName(name)].settings for name in ("n", "m")]
    assert [found.saving.min_on for found in settings] == [9, 3]
    assert settings[0].detection is settings[1].detection


def test_a_host_says_whether_it_may_sleep(tmp_path: Path) -> None:
    hosts = load_ok(tmp_path, host("a") + host("b", more="saving = false") + host("c", more="saving = true")).inventory
    assert {name: found.may_sleep for name, found in hosts.hosts.items()} == {"a": True, "b": False, "c": True}


def test_hosts_of_equal_settings_share_one_object(tmp_path: Path) -> None:
    main = clusters("saving = { reserve = 2 }", "saving = { reserve = 2 }")
    found = saved(tmp_path, main)
    assert found["n"] is found["m"]


def test_wake_can_be_requested(tmp_path: Path) -> None:
    loaded = load_ok(tmp_path, '[bus]\naccept_requests = ["wake"]\n')
    assert loaded.inventory.daemon.accept_requests == ("wake",)


COUNTS = st.integers(1, 10_000)
WAKING = st.fixed_dictionaries({}, optional={"cluster": COUNTS, "rack": COUNTS, "fleet": COUNTS})
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "reserve": st.integers(0, 100),
        "min_on": st.integers(0, 100),
        "asleep_at_most": st.integers(0, 100),
        "veto": st.sampled_from(["1s", "30s", "1m"]),
        "soft_off": st.sampled_from(["device", "reporter"]),
        "consent": st.lists(st.sampled_from(["a", "b"]), unique=True),
        "waking": WAKING,
    },
)


@given(main=TABLES, own=TABLES)
def test_a_cluster_has_its_own_keys_and_inherits_the_rest(main: dict[str, Any], own: dict[str, Any]) -> None:
    """What a cluster gets is what one table with both would give."""
    settings = Settings(MainTables.model_validate({"saving": main}))
    found = settings.saving(SavingTable.model_validate(own))
    both = {**main, **own, "waking": {**main.get("waking", {}), **own.get("waking", {})}}
    assert found == Settings(MainTables.model_validate({"saving": both})).saving()


@pytest.mark.parametrize("key", SavingTable.model_fields)
def test_every_key_can_be_set_by_a_cluster(key: str) -> None:
    own = SavingTable.model_validate({key: tomllib.loads(ALL)[key]})
    found, default = Settings(MainTables()).saving(own), SavingSettings()
    changed = {each.name for each in fields(found) if getattr(found, each.name) != getattr(default, each.name)}
    assert len(changed) == (3 if key == "waking" else 1)
