"""Mistakes of form and of reference are reported in one run, each once, without mere consequences of others."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.config.files import CLUSTERS, TLS, load_files, told
from tests.config.pieces import BMC, HOST, host, pdu


def paths(directory: Path, main: str) -> list[str]:
    loaded = load_files(directory, main)
    assert (loaded.configuration is None) == bool(loaded.errors)
    return sorted(mistake.path for mistake in loaded.errors)


def test_broken_entries_are_checked_on(tmp_path: Path) -> None:
    text = (
        CLUSTERS
        + host("h1", pdu(more='proxies = ["engine", "nobody"]\npassword_file = "nowhere"\n'), more="bogus = 1")
        + host("h2", pdu("a", plug="2", more='proxies = ["nobody"]\n'), more='cluster = "c9"')
        + host(
            "h3",
            pdu("a", plug="3", more='level = "one"\n'),
            pdu("a", plug="4", more='proxies = ["px9"]\n'),
            pdu("b", plug="2", more='level = "two"\n'),
        )
    )
    assert paths(tmp_path, text) == sorted(
        [
            "host[0].bogus",
            "host[0].device[0].proxies[1]",
            "host[0].device[0].password_file",
            "host[1].cluster",
            "host[1].device[0].proxies[0]",
            "host[2].device[0].level",
            "host[2].device[1].name",
            "host[2].device[1].proxies[0]",
            "host[2].device[2].level",
            "host[2].device[2]",
        ]
    )


LOST = 'proxies = ["nobody"]\n'
PROXY = '[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n'

MORE = {
    "a host without a name": (
        '[[host]]\ncluster = "c9"\n' + pdu(more=LOST),
        ["host[0].cluster", "host[0].device[0].proxies[0]", "host[0].name"],
    ),
    "a host given twice, with other mistakes": (
        HOST + HOST + 'cluster = "c9"\n' + pdu(more='password_env = "NOWHERE"\n'),
        ["host[1].cluster", "host[1].device[0].password_env", "host[1].name"],
    ),
    "a device without a driver": (
        HOST + '[[host.device]]\nname = "x"\npassword_file = "nowhere"\n' + LOST,
        ["host[0].device[0].driver", "host[0].device[0].password_file", "host[0].device[0].proxies[0]"],
    ),
    "a proxy without a url": (
        '[[proxy]]\nname = "p"\ncluster = "c9"\nhost = "x"\n',
        ["proxy[0].cluster", "proxy[0].host", "proxy[0].url"],
    ),
    "a proxy given twice, with another mistake": (
        PROXY + PROXY + 'cluster = "c9"\n',
        ["proxy[1].cluster", "proxy[1].name"],
    ),
    "a cluster with an unknown key": (
        '[[cluster]]\nname = "c"\nbogus = 1\ndatacenter = "x"\n' + LOST,
        ["cluster[0].bogus", "cluster[0].datacenter", "cluster[0].proxies[0]"],
    ),
    "a cluster without a name": (
        "[[cluster]]\n" + 'datacenter = "x"\n' + LOST,
        ["cluster[0].datacenter", "cluster[0].name", "cluster[0].proxies[0]"],
    ),
    "a datacenter without a name": ("[[datacenter]]\n" + LOST, ["datacenter[0].name", "datacenter[0].proxies[0]"]),
    "a device beside one that is no table": (
        "[inventory]\nfiles = []\n" + '[[host]]\nname = "n"\ndevice = [7, {name = "x", driver = "redfish", '
        'address = "https://10.9.0.1", proxies = ["nobody"]}]\n',
        ["host[0].device", "host[0].device[1].proxies[0]"],
    ),
    "a main file with an unknown key": (
        '[defaults]\nbogus = 1\nproxies = ["engine", "nobody"]\n[bus]\nurl = 5\npassword_file = "nowhere"\n',
        ["bus.password_file", "bus.url", "defaults.bogus", "defaults.proxies[1]"],
    ),
    "unreachable while another host is broken": (
        HOST + "bogus = 1\n" + CLUSTERS + host("n", pdu(more='proxies = ["cluster"]\n'), more='cluster = "c1"'),
        ["host[0].bogus", "host[1].device[0].proxies"],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_the_first_run_reports_all_mistakes(name: str, tmp_path: Path) -> None:
    text, expected = MORE[name]
    assert paths(tmp_path, text) == expected


FOLLOWS = {
    "devices that are none": (HOST + 'device = "x"\n', "host[0].device"),
    "a level": (
        host("n", pdu("a"), BMC.format(ip="10.9.0.1") + 'level = "2"\n'),
        "host[0].device[1].level",
    ),
    "the level of one of two feeds": (host("n", pdu("a"), pdu("b", more='level = "2"\n')), "host[0].device[1].level"),
    "a kind": (host("n", BMC.format(ip="10.9.0.1") + "kind = 1\n", pdu()), "host[0].device[0].kind"),
    "options": (
        host("n", '[[host.device]]\nname = "x"\ndriver = "fence_apc"\noptions = 1\n')
        + host("m", '[[host.device]]\nname = "x"\ndriver = "fence_apc"\n'),
        "host[0].device[0].options",
    ),
    "a redfish's address": (
        HOST + '[[host.device]]\nname = "x"\ndriver = "redfish"\naddress = 1\n',
        "host[0].device[0].address",
    ),
    "a driver": (
        HOST + '[[host.device]]\nname = "x"\ndriver = 1\nstandby = "separate"\n',
        "host[0].device[0].driver",
    ),
    "the tags that a word names": (PROXY + "tags = 'oob'\n" + HOST + 'proxies = ["tag:oob"]\n', "proxy[0].tags"),
    "the alias that a word names": (
        PROXY + 'host = "node-1"\n' + HOST + "aliases = 'other'\n[defaults]\nproxies = ['other']\n",
        "host[0].aliases",
    ),
    "tags that are no text": (PROXY + "tags = [7]\n" + HOST + 'proxies = ["tag:oob"]\n', "proxy[0].tags"),
    "aliases that are no text": (
        PROXY + 'host = "node-1"\n' + HOST + "aliases = [7]\n[defaults]\nproxies = ['other']\n",
        "host[0].aliases",
    ),
    "the machine of a proxy": (
        PROXY + 'hosts = "node-1"\n' + HOST + "aliases = ['other']\n[defaults]\nproxies = ['other']\n",
        "proxy[0].hosts",
    ),
    "a host that is no table": (
        "host = [7]\n" + PROXY + 'host = "n"\n' + "[daemon]\nagent_path = ['agents']\n",
        "host[0]",
    ),
    "a misspelt list": (PROXY + 'cluster = "c"\n[[clusters]]\nname = "c"\n', "clusters"),
    "a proxy's misspelt name": (
        PROXY.replace("name", "nane") + HOST + 'proxies = ["p"]\n' + pdu(),
        "proxy[0].nane",
    ),
    "the name of a cluster": (
        '[[cluster]]\nnames = "c"\n' + host("n", more='cluster = "c"'),
        "cluster[0].names",
    ),
    "the place of the only proxy": (
        CLUSTERS + PROXY + "cluster = 1\n" + host("n", pdu(), more='cluster = "c1"\nproxies = ["cluster"]'),
        "proxy[0].cluster",
    ),
    "the cluster of a host": (
        CLUSTERS + PROXY + 'cluster = "c1"\n' + host("n", pdu(more='proxies = ["cluster"]\n'), more='cluster = "c9"'),
        "host[0].cluster",
    ),
    "the list of a cluster": (
        CLUSTERS
        + '[[cluster]]\nname = "c2"\nproxies = "engine"\n[defaults]\nproxies = ["cluster"]\n'
        + host("n", pdu(), more='cluster = "c2"'),
        "cluster[1].proxies",
    ),
    "an interval": ('[detection]\ngrace = "2s"\nheartbeat_interval = 1\n', "detection.heartbeat_interval"),
    "a device's own interval": (
        host("n", pdu(more='verify_timeout = "1s"\nverify_interval = 1\n')),
        "host[0].device[0].verify_interval",
    ),
    "an address that a plug needs": (
        host("n", '[[host.device]]\nname = "x"\ndriver = "fence_apc"\naddress = 1\noptions = { plug = "1" }\n')
        + host("m", '[[host.device]]\nname = "x"\ndriver = "fence_apc"\noptions = { plug = "1" }\n'),
        "host[0].device[0].address",
    ),
    "an interval above a host": (
        HOST + 'grace = "2s"\n[detection]\nheartbeat_interval = 1\n',
        "detection.heartbeat_interval",
    ),
    "a timeout": (
        '[power]\noperation_timeout = "20s"\nattempt_timeout = 5\n' + host("n", pdu()),
        "power.attempt_timeout",
    ),
    "a device's own timeout": (
        '[power]\noperation_timeout = "50s"\n' + host("n", pdu(more="verify_timeout = 10\n")),
        "host[0].device[0].verify_timeout",
    ),
    "a user name": ('[bus]\nusername = 5\npassword_file = "tls/secret"\n', "bus.username"),
    "the bus that confirm-off needs": ('[bus]\nurl = 5\naccept_requests = ["confirm_off"]\n', "bus.url"),
    "a certificate": (
        '[[proxy]]\nname = "p"\nurl = "https://px1"\n' + TLS.replace('"tls/ca"', "5"),
        "proxy_client.ca_file",
    ),
    "tokens": ('[api]\nlisten = "0.0.0.0:8470"\ntokens_file = 5\n', "api.tokens_file"),
    "a host given twice with its devices": (
        host("n", pdu(), more='address = "10.0.0.1"') * 2,
        "host[1].name",
    ),
    "a device given twice with its plug": (host("n", pdu(), pdu()), "host[0].device[1].name"),
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_mistakes_that_only_follow_from_others_are_not_reported(name: str, tmp_path: Path) -> None:
    text, path = FOLLOWS[name]
    loaded = load_files(tmp_path, text)
    assert [mistake.path for mistake in loaded.errors] == [path], told(loaded.errors)
    assert not any("no power device" in mistake.reason for mistake in loaded.warnings if "device" in path)


WRONG: dict[str, Any] = {
    "datacenter": [{"name": "dc1", "proxies": ["nobody"]}],
    "cluster": [{"name": "c1", "datacenter": "dc9"}, {"name": "c1"}],
    "proxy": [{"name": "p", "url": "http://127.0.0.1:1", "cluster": "c8", "host": "h9"}],
    "host": [
        {
            "name": name,
            "cluster": "c7",
            "proxies": ["engine", "nobody"],
            "device": [
                {
                    "name": "a",
                    "driver": "fence_apc",
                    "options": {"ip": "10.9.1.1", "plug": "1"},
                    "password_file": "nowhere",
                    "proxies": ["px9"],
                }
            ],
        }
        for name in ("h1", "h2", "h2")
    ],
}


def test_an_unknown_key_anywhere_hides_nothing(tmp_path: Path) -> None:
    def run(lists: dict[str, Any]) -> list[str]:
        inventory = {"wrong.json": json.dumps(lists)}
        loaded = load_files(tmp_path, '[inventory]\nfiles = ["inventory/wrong.json"]\n', inventory=inventory)
        return sorted(mistake.path for mistake in loaded.errors)

    found = run(WRONG)
    assert "host[1].device[0]" in found  # the plug of h1
    places = [(key, index) for key, entries in WRONG.items() for index in range(len(entries))]
    for key, index in places:
        lists = copy.deepcopy(WRONG)
        lists[key][index]["bogus"] = 1
        assert run(lists) == sorted([*found, f"{key}[{index}].bogus"])
    for index in range(len(WRONG["host"])):
        lists = copy.deepcopy(WRONG)
        lists["host"][index]["device"][0] |= {"bogus": 1, "level": "one"}
        place = f"host[{index}].device[0]"
        assert run(lists) == sorted([*found, f"{place}.bogus", f"{place}.level"])


def test_a_proxy_without_a_datacenter_has_no_wrong_one(tmp_path: Path) -> None:
    """Regression: beside a data centre without a name, an unknown data centre of a proxy counted as known."""
    proxy = '[[proxy]]\nname = "px1"\nurl = "http://127.0.0.1:7000"\ncluster = "c1"\n'
    assert paths(tmp_path, CLUSTERS + '[[datacenter]]\nname = ""\n' + proxy) == ["datacenter[1].name"]
