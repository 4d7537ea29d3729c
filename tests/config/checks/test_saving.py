"""`[saving]` that has no effect, or less than it seems, is told where it is set; so is a cluster that never sleeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from fenced.config.load import Loaded
from fenced.config.mistakes import Mistake
from tests.config.drivers import BOARD, RACK, Told
from tests.config.files import load_files
from tests.config.pieces import host

ON = "[saving]\nenabled = true\n"
SOFT = replace(BOARD, name="soft", can_soft_off=True)


def board(number: int, driver: str = "soft") -> str:
    return f'[[host.device]]\nname = "bmc"\ndriver = "{driver}"\naddress = "10.9.0.{number}"\n'


def outlet(number: int) -> str:
    return f'[[host.device]]\nname = "pdu"\ndriver = "rack"\naddress = "10.9.1.1"\noptions = {{ outlet = {number} }}\n'


def cluster(name: str = "c1", saving: str = "") -> str:
    return f'[[cluster]]\nname = "{name}"\n' + (f"saving = {{ {saving} }}\n" if saving else "")


def member(number: int, device: str | None = None, *, of: str = "c1", more: str = "") -> str:
    devices = [board(number) if device is None else device]
    return host(f"n{number}", *devices, more=f'cluster = "{of}"\naddress = "10.0.0.{number}"\n{more}')


def members(count: int = 8, *, of: str = "c1", first: int = 1, driver: str = "soft", more: str = "") -> str:
    return "".join(member(n, board(n, driver), of=of, more=more) for n in range(first, first + count))


def run(directory: Path, main: str) -> Loaded:
    return load_files(directory, main, catalogue=Told(SOFT, BOARD, RACK))


def told(mistakes: tuple[Mistake, ...]) -> list[tuple[str, str]]:
    """Return (path, reason) of what is about saving."""
    return [(each.path, each.reason) for each in mistakes if "saving" in each.path]


def warned(directory: Path, main: str) -> list[tuple[str, str]]:
    loaded = run(directory, main)
    assert not loaded.errors
    return told(loaded.warnings)


def only(found: list[tuple[str, str]], path: str, *reasons: str) -> None:
    assert [place for place, _ in found] == [path], found
    for reason in reasons:
        assert reason in found[0][1]


def test_a_cluster_that_can_sleep_is_silent(tmp_path: Path) -> None:
    assert not warned(tmp_path, ON + cluster() + members())


def test_so_is_everything_that_is_not_enabled(tmp_path: Path) -> None:
    text = '[saving]\nmin_on = 99\nveto = "1s"\nproven_on = "0s"\n' + cluster() + members(2, driver="board")
    assert not warned(tmp_path, text)


def test_a_cluster_may_be_left_out(tmp_path: Path) -> None:
    text = ON + cluster() + cluster("c2", "enabled = false") + members() + members(2, of="c2", first=20, driver="board")
    assert not warned(tmp_path, text)


def test_an_enabled_cluster_without_hosts_is_silent(tmp_path: Path) -> None:
    assert not warned(tmp_path, ON + cluster() + cluster("empty") + members())


def test_nobody_can_be_asked_to_shut_down(tmp_path: Path) -> None:
    loaded = run(tmp_path, ON + cluster() + members(driver="board"))
    only(
        told(loaded.errors), "saving.enabled", "no host of c1 can be asked", 'soft_off = "reporter"', "redfish or ipmi"
    )
    assert not told(loaded.warnings)


def test_the_cluster_that_enabled_it_is_to_blame(tmp_path: Path) -> None:
    text = cluster(saving="enabled = true") + cluster("c2") + members(driver="board") + members(of="c2", first=20)
    only(told(run(tmp_path, text).errors), "cluster[0].saving.enabled", "c1: no host of c1 can be asked")


def test_it_is_a_warning_where_the_same_key_helps_others(tmp_path: Path) -> None:
    text = ON + cluster() + cluster("c2") + members(driver="board") + members(of="c2", first=20)
    only(warned(tmp_path, text), "saving.enabled", "no host of c1 can be asked")


def test_several_clusters_of_one_key_are_one_mistake(tmp_path: Path) -> None:
    text = ON + cluster() + cluster("c2") + members(driver="board") + members(of="c2", first=20, driver="board")
    only(told(run(tmp_path, text).errors), "saving.enabled", "(and 1 more clusters)")


def test_reporters_can_ask_where_no_driver_can(tmp_path: Path) -> None:
    assert not warned(tmp_path, ON + cluster(saving='soft_off = "reporter"') + members(driver="board"))


def test_but_a_chassis_is_needed_all_the_same(tmp_path: Path) -> None:
    text = ON + 'soft_off = "reporter"\n' + cluster() + "".join(member(n, outlet(n)) for n in range(1, 9))
    only(told(run(tmp_path, text).errors), "saving.enabled", "no host of c1 has a chassis device")


def test_an_outlet_that_is_called_a_chassis_asks_nobody(tmp_path: Path) -> None:
    devices = [outlet(n) + 'kind = "chassis"\n' for n in range(1, 9)]
    text = ON + cluster() + "".join(member(n, device) for n, device in enumerate(devices, 1))
    only(told(run(tmp_path, text).errors), "saving.enabled", "no host of c1 can be asked")


def test_hosts_without_a_chassis_are_named_once_a_cluster(tmp_path: Path) -> None:
    text = ON + cluster() + members() + "".join(member(n, outlet(n)) for n in range(20, 27))
    only(warned(tmp_path, text), "saving.enabled", "n20, n21, n22, n23, n24 and 2 more", "no chassis", "saving = false")


def test_hosts_that_may_not_sleep_anyway_are_not(tmp_path: Path) -> None:
    never = [member(20, outlet(20), more="saving = false"), member(21, outlet(21), more="protected = true")]
    never.append(member(22, outlet(22), more="automatic = false"))
    assert not warned(tmp_path, ON + cluster() + members() + "".join(never))


def test_hosts_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    text = ON + cluster() + members() + member(20, board(20, "board"))
    only(warned(tmp_path, text), "saving.enabled", "n20", "whose driver can ask")


@pytest.mark.parametrize("key", ["saving = false", "protected = true", "automatic = false"])
def test_a_cluster_of_hosts_that_may_not_sleep(tmp_path: Path, key: str) -> None:
    text = ON + cluster() + members(more=key)
    only(warned(tmp_path, text), "saving.enabled", "has no effect for c1", "saving = false")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("min_on = 8", "c1 has 8 hosts, and so many stay on"),
        ("reserve = 8", "c1 has 8 hosts, and so many idle ones"),
        ("asleep_at_most = 12.4", "c1 has 8 hosts, and 12.4 percent is none"),
        ("asleep_at_most = 0", "and 0 percent is none"),
    ],
)
def test_a_limit_by_which_nobody_can_ever_sleep(tmp_path: Path, key: str, reason: str) -> None:
    name = key.partition(" ")[0]
    only(warned(tmp_path, ON + key + "\n" + cluster() + members()), f"saving.{name}", reason, "none can ever sleep")
    only(warned(tmp_path, ON + cluster(saving=key) + members()), f"cluster[0].saving.{name}", reason)


@pytest.mark.parametrize("key", ["min_on = 7", "reserve = 7", "asleep_at_most = 12.5"])
def test_a_limit_that_lets_one_sleep_is_silent(tmp_path: Path, key: str) -> None:
    assert not warned(tmp_path, ON + key + "\n" + cluster() + members())


def test_the_gates_keep_small_clusters_on(tmp_path: Path) -> None:
    text = cluster(saving="enabled = true") + members(4) + cluster("c2") + members(of="c2", first=20)
    only(warned(tmp_path, text), "cluster[0].saving.enabled", "c1 has 4 hosts, and 4 must stay heard", "connectivity")
    assert not warned(tmp_path, "[gates.connectivity]\nat_least = 2\n" + text)


def test_the_witness_gate_keeps_a_small_fleet_on(tmp_path: Path) -> None:
    text = ON + "[gates.witness]\nhosts = {}\n" + cluster() + members()
    only(warned(tmp_path, text.format(6)), "saving.enabled", "there are 8 hosts in all, and 8 must stay heard")
    assert not warned(tmp_path, text.format(5))


def test_one_limit_for_several_small_clusters_is_told_once(tmp_path: Path) -> None:
    text = ON + "min_on = 8\n" + cluster() + cluster("c2") + members() + members(of="c2", first=20)
    only(warned(tmp_path, text), "saving.min_on", "c1 has 8 hosts", "(and 1 more clusters)")


@pytest.mark.parametrize(
    ("key", "fine", "reason"),
    [
        ('veto = "4999ms"', 'veto = "5s"', "hardly has time"),
        ('soft_timeout = "59s"', 'soft_timeout = "1m"', "may be fenced"),
        ('proven_on = "0s"', 'proven_on = "1ms"', "never came back"),
    ],
)
def test_durations_that_are_allowed_and_unwise(tmp_path: Path, key: str, fine: str, reason: str) -> None:
    name = key.partition(" ")[0]
    main = cluster() + cluster("c2") + members() + members(of="c2", first=20)
    only(warned(tmp_path, ON + key + "\n" + main), f"saving.{name}", reason)
    assert not warned(tmp_path, ON + fine + "\n" + main)
    own = cluster(saving=f"enabled = true, {key}") + members()
    only(warned(tmp_path, own), f"cluster[0].saving.{name}", reason)


def test_reporters_obey_only_over_tls(tmp_path: Path) -> None:
    text = '[bus]\nurl = "{}"\n' + ON + 'soft_off = "reporter"\n' + cluster() + members()
    only(warned(tmp_path, text.format("mqtt://broker.example.org")), "saving.soft_off", "only if it reaches the broker")
    assert not warned(tmp_path, text.format("mqtts://broker.example.org"))
    assert not warned(tmp_path, text.format("mqtt://127.0.0.1:1883"))


def proxy(name: str, on: str) -> str:
    return f'[[proxy]]\nname = "{name}"\nurl = "http://127.0.0.1:1"\ncluster = "c1"\nhost = "{on}"\n'


def test_proxies_that_all_run_on_sleepers(tmp_path: Path) -> None:
    text = ON + cluster() + members() + proxy("p1", "n1") + proxy("p2", "n2")
    only(warned(tmp_path, text), "saving.enabled", "all proxies of c1 (p1, p2)", "saving = false")
    assert not warned(tmp_path, text.replace('name = "n2"', 'name = "n2"\nsaving = false'))


FOLLOWS = {
    "a cluster's key": (ON + "min_on = 9\n" + cluster(saving='min_on = "3"') + members(), "cluster[0].saving.min_on"),
    "enabled": ('[saving]\nenabled = "yes"\nmin_on = 99\n' + cluster() + members(), "saving.enabled"),
    "soft_off": (ON + "soft_off = 1\n" + cluster() + members(driver="board"), "saving.soft_off"),
    "a driver": (ON + cluster() + members(driver="none"), "host[0].device[0].driver"),
    "the cluster of hosts": (ON + "min_on = 6\n" + cluster() + members(6) + member(7, of="c9"), "host[6].cluster"),
    "the saving of a host": (ON + cluster() + members() + member(20, outlet(20), more="saving = 0"), "host[8].saving"),
    "a table": (ON + cluster(saving="waking = 4, min_on = 7") + members(), "cluster[0].saving.waking"),
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_what_only_follows_from_a_mistake_is_not_told(tmp_path: Path, name: str) -> None:
    text, path = FOLLOWS[name]
    loaded = run(tmp_path, text)
    assert loaded.errors[0].path == path and {each.path.rpartition(".")[2] for each in loaded.errors} == {
        path.rpartition(".")[2]
    }
    assert not told(loaded.warnings)
