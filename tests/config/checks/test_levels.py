"""Levels that don't fit into the operation: one error at the value to blame, naming some of the hosts."""

from pathlib import Path

import pytest

from tests.config.files import CLUSTERS, load_files, told
from tests.config.pieces import host, pdu

TWO_LEVELS = (pdu("a"), pdu("b", plug="2", more="level = 2\n"))


def fleet(count: int, more: str = "") -> str:
    """Return hosts with one outlet each: 5 s probe, 20 s attempt, 30 s verification."""
    return "".join(host(f"n{number}", pdu(plug=str(number)), more=more) for number in range(1, count + 1))


def in_dc1(text: str = "") -> str:
    return f'[[datacenter]]\nname = "dc1"\n{text}'


def in_c1(text: str = "") -> str:
    return f'[[cluster]]\nname = "c1"\ndatacenter = "dc1"\n{text}'


SHORT = 'operation_timeout = "50s"\n'
LONG = 'attempt_timeout = "5m"\n'
C1 = 'cluster = "c1"'

BLAMED = {
    "the main file": ("[power]\n" + SHORT + fleet(1), "power.operation_timeout", "50s"),
    "the main file, for all": ("[power]\n" + SHORT + fleet(9), "power.operation_timeout", "50s"),
    "the main file's other timeouts": ("[power]\n" + LONG + fleet(2), "power.operation_timeout", "5m"),
    "the default, for many levels": (
        '[power]\nverify_timeout = "2m10s"\n' + host("n", *TWO_LEVELS),
        "power.operation_timeout",
        "5m",
    ),
    "a data centre": (in_dc1(SHORT) + in_c1() + fleet(3, C1), "datacenter[0].operation_timeout", "50s"),
    "a data centre's attempts": (in_dc1(LONG) + in_c1() + fleet(3, C1), "datacenter[0].attempt_timeout", "5m"),
    "a cluster": (in_dc1() + in_c1(SHORT) + fleet(3, C1), "cluster[0].operation_timeout", "50s"),
    "a cluster's attempts": (in_dc1() + in_c1(LONG) + fleet(3, C1), "cluster[0].attempt_timeout", "5m"),
    "a cluster over its data centre": (
        in_dc1('operation_timeout = "40s"\n') + in_c1(SHORT) + fleet(1, C1),
        "cluster[0].operation_timeout",
        "50s",
    ),
    "a host": (CLUSTERS + fleet(1, C1 + "\n" + SHORT), "host[0].operation_timeout", "50s"),
    "a host's attempts": (fleet(1, LONG), "host[0].attempt_timeout", "5m"),
    "a device": (host("n", pdu(more=LONG)), "host[0].device[0].attempt_timeout", "5m"),
    "a device that settles": (host("n", pdu(more='settle = "5m"\n')), "host[0].device[0].settle", "5m"),
    "the main file, though a device is quicker": (
        "[power]\n" + SHORT + host("n", pdu("a"), pdu("b", plug="2", more='attempt_timeout = "9s"\n')),
        "power.operation_timeout",
        "50s",
    ),
    "the main file, though a host is quicker": (
        "[power]\n" + SHORT + fleet(1, 'attempt_timeout = "19s"\n'),
        "power.operation_timeout",
        "50s",
    ),
}


@pytest.mark.parametrize("name", BLAMED)
def test_a_mistake_is_reported_once_where_the_value_is_written(name: str, tmp_path: Path) -> None:
    text, path, value = BLAMED[name]
    loaded = load_files(tmp_path, text)
    assert [(mistake.path, mistake.value) for mistake in loaded.errors] == [(path, value)], told(loaded.errors)
    assert loaded.errors[0].file == str(tmp_path / "fenced.toml")


def test_a_few_hosts_are_named(tmp_path: Path) -> None:
    (mistake,) = load_files(tmp_path, "[power]\n" + SHORT + fleet(9)).errors
    assert "n1, n2, n3 and 6 more" in mistake.reason
    (mistake,) = load_files(tmp_path, "[power]\n" + SHORT + fleet(2)).errors
    assert "n1, n2, 55s" in mistake.reason


def test_a_mistake_is_reported_in_the_main_file_when_the_hosts_are_in_another(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, "[power]\n" + SHORT, inventory={"a.toml": fleet(2), "b.toml": host("m", pdu("x"))})
    assert ("fenced.toml", "power.operation_timeout") in {(Path(each.file).name, each.path) for each in loaded.errors}


def test_a_host_that_says_more_is_not_concerned(tmp_path: Path) -> None:
    text = "[power]\n" + SHORT + fleet(1, 'operation_timeout = "1m"\n')
    assert load_files(tmp_path, text).configuration is not None


@pytest.mark.parametrize(
    ("devices", "level"),
    [
        (TWO_LEVELS, "2"),
        ((pdu("a", more="level = 3\n"), pdu("b", plug="2"), pdu("c", plug="3")), "3"),
        (TWO_LEVELS[:1], None),
    ],
)
def test_feeds_on_several_levels_are_a_warning(devices: tuple[str, ...], level: str | None, tmp_path: Path) -> None:
    loaded = load_files(tmp_path, CLUSTERS + host("n", *devices))
    assert not loaded.errors
    found = [warning for warning in loaded.warnings if "several levels" in warning.reason]
    assert [warning.value for warning in found] == ([level] if level else [])
