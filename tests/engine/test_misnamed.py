"""Near-miss host names on the bus: reported, never accepted, and few are kept."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from fenced.app.note import Note
from fenced.config.heard_as import FRESH_SECONDS, NOTE, NOTE_BYTES_MAX, written
from fenced.engine.misnamed import KEPT_SECONDS, NAMES_OF_HOST_MAX, Misnamed
from fenced.model.inventory import Host, Inventory
from fenced.model.names import ClusterName, DatacenterName, HostName
from tests.config.files import load_files
from tests.fakes.control import FakeClock
from tests.net import until


def inventory(*names: str, aliases: tuple[str, ...] = ()) -> Inventory:
    hosts = [
        Host(name=HostName(name), cluster=ClusterName("c1"), datacenter=DatacenterName(""), aliases=aliases)
        for name in names
    ]
    return Inventory(hosts={host.name: host for host in hosts})


def misnamed(*names: str, aliases: tuple[str, ...] = ()) -> tuple[Misnamed, FakeClock]:
    clock, kept = FakeClock(), inventory(*names, aliases=aliases)
    return Misnamed(lambda: kept, clock), clock


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("node-1", "NODE-1"),
        ("node-1", "node-1.example.org"),
        ("node-1", "Node-1.EXAMPLE.org"),
        ("node-1.example.org", "node-1"),
        ("node-1.example.org", "NODE-1.example.ORG"),
        ("NODE-1", "node-1"),
        ("node-1", "node-1."),
        ("node-1", "NODE-1.example.org."),
        ("node-1.example.org", "node-1.example.org."),
        ("node-1.example.org", "Node-1."),
    ],
)
def test_a_name_that_is_nearly_a_hosts_is_reported(host: str, name: str) -> None:
    names, _ = misnamed(host, "node-2", "node-10")
    names.heard(name)
    assert names.names(HostName(host)) == (name,)
    assert f"beats arrive as {name}" in names.sentences(HostName(host))[0]
    assert list(names.all()) == [HostName(host)]


@pytest.mark.parametrize(
    "name", ["node-3", "node", "node-1x", "node-2", "node-1", "", "example.org", "node-1\n", "n" * 300]
)
def test_a_name_that_is_far_from_every_hosts_is_not_reported(name: str) -> None:
    names, _ = misnamed("node-1", "node-2")
    names.heard(name)
    assert names.all() == {}


def test_an_alias_is_meant_too() -> None:
    names, _ = misnamed("node-1", aliases=("storage-7",))
    names.heard("Storage-7")
    assert names.names(HostName("node-1")) == ("Storage-7",)


@pytest.mark.parametrize("name", ["storage-7", "Storage-7.", "STORAGE-7.example.org", "10.0.0.7"])
def test_an_alias_is_meant_by_its_short_form_and_an_address_as_a_whole(name: str) -> None:
    names, _ = misnamed("node-1", aliases=("storage-7.example.org.", "10.0.0.7"))
    for other in ("10", "10.0.0.8", "storage", "example.org"):
        names.heard(other)
    assert names.all() == {}
    names.heard(name)
    assert names.names(HostName("node-1")) == (name,)


def test_an_address_is_no_host_s_long_form() -> None:
    names, _ = misnamed("10", "fd00")
    names.heard("10.0.0.7")
    assert names.all() == {}


def test_a_name_that_may_mean_several_hosts_is_reported_at_each() -> None:
    names, _ = misnamed("node-1.a.example.org", "node-1.b.example.org", "node-2")
    names.heard("node-1")
    told = names.all()
    assert set(told) == {"node-1.a.example.org", "node-1.b.example.org"}
    assert "node-1.b.example.org" in told[HostName("node-1.a.example.org")][0]


def test_few_are_kept_and_each_for_a_while() -> None:
    names, clock = misnamed("node-1")
    for number in range(1000):
        names.heard(f"node-1.site-{number}.example.org")
    newest = tuple(f"node-1.site-{number}.example.org" for number in range(1000 - NAMES_OF_HOST_MAX, 1000))
    assert names.names(HostName("node-1")) == newest
    clock.at += KEPT_SECONDS + 1
    assert names.all() == {}


def test_a_reload_that_knows_the_name_ends_it() -> None:
    known = [inventory("node-1")]
    names = Misnamed(lambda: known[0], FakeClock())
    names.heard("NODE-1")
    assert names.names(HostName("node-1"))
    known[0] = inventory("node-1", "NODE-1")
    assert names.all() == {}


def test_check_config_warns_of_misnamed_reporters_that_the_daemon_noted(tmp_path: Path) -> None:
    names, _ = misnamed("node-1")
    names.heard("NODE-1")
    main = f'[daemon]\nstate_dir = "{tmp_path}"\n[[host]]\nname = "node-1"\n'
    assert not any("NODE-1" in mistake.reason for mistake in load_files(tmp_path, main).warnings)
    (tmp_path / NOTE).write_text(written(names.all()))
    assert sum("beats arrive as NODE-1" in mistake.reason for mistake in load_files(tmp_path, main).warnings) == 1


def test_the_note_of_a_daemon_that_was_killed_is_ignored(tmp_path: Path) -> None:
    main = f'[daemon]\nstate_dir = "{tmp_path}"\n[[host]]\nname = "node-1"\n'
    (tmp_path / NOTE).write_text(written({HostName("node-1"): ("beats arrive as NODE-1",)}))
    assert any("NODE-1" in mistake.reason for mistake in load_files(tmp_path, main).warnings)
    old = time.time() - FRESH_SECONDS - 1
    os.utime(tmp_path / NOTE, (old, old))
    assert not any("NODE-1" in mistake.reason for mistake in load_files(tmp_path, main).warnings)


async def test_a_daemon_that_stops_removes_its_note(tmp_path: Path) -> None:
    names, _ = misnamed("node-1")
    names.heard("NODE-1")
    task = asyncio.create_task(Note(tmp_path, names).run(), name="note")
    note = tmp_path / NOTE
    await until(lambda: note.exists() and "NODE-1" in note.read_text(), what="the note")
    task.cancel()
    await asyncio.wait([task])
    assert not note.exists()


def test_the_note_of_a_whole_fleet_under_wrong_names_can_be_read() -> None:
    told = {HostName(f"node-{number}." + "n" * 230): ("x" * 700,) * NAMES_OF_HOST_MAX for number in range(10_000)}
    assert len(written(told)) < NOTE_BYTES_MAX


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"node-1": 5}', '{"node-1": [5, null, {}]}', "[" * 100_000, '"x"']
)
def test_a_damaged_note_is_no_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text(text)
    loaded = load_files(tmp_path, f'[daemon]\nstate_dir = "{tmp_path}"\n[[host]]\nname = "node-1"\n')
    assert loaded.configuration is not None
    assert json.dumps([str(mistake) for mistake in loaded.warnings])
