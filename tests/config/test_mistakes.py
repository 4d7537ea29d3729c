"""Every mistake is reported once, with its place, value and reason, in one run with all others."""

from pathlib import Path

import pytest

from fenced.config.mistakes import Mistake
from tests.config.files import certificates, load_files, told, write
from tests.config.pieces import BMC, HOST, host, pdu
from tests.config.table_references import REFERENCES
from tests.config.table_settings import SETTINGS
from tests.config.table_shape import SHAPE

MISTAKES = {**SHAPE, **REFERENCES, **SETTINGS}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_place_value_and_reason(name: str, tmp_path: Path) -> None:
    main, path, value, reason = MISTAKES[name]
    loaded = load_files(tmp_path, main)
    assert loaded.configuration is None
    found = [mistake for mistake in loaded.errors if mistake.path == path]
    assert found, told(loaded.errors)
    assert reason in found[0].reason
    assert found[0].value.removeprefix(f"{tmp_path}/") == value
    assert found[0].file.startswith(str(tmp_path))
    assert not any("geheim" in str(mistake) for mistake in (*loaded.errors, *loaded.warnings))


@pytest.mark.parametrize("name", [name for name in MISTAKES if name != "two secrets"])
def test_one_mistake_makes_no_others(name: str, tmp_path: Path) -> None:
    loaded = load_files(tmp_path, MISTAKES[name][0])
    assert len(loaded.errors) == 1, told(loaded.errors)


OPTIONS = {
    'action = "off"': "fenced sets it",
    'method = "cycle"': "never cycles",
    "delay = 5": "decides when",
    'nodename = "x"': "use plug",
    "help = true": "exit with success",
    "missing_as_off = true": "count as off",
    '"missing-as-off" = 1': "count as off",
    '"missing-as_off" = "0"': "count as off",
    "Missing_As_Off = true": "count as off",
    "network_fencing = true": "not the power",
    '"network-fencing" = "yes"': "not the power",
    '"interface0-sg" = "sg-1"': "not the power",
    "baremetalsolution = true": "makes up its status",
    "quiet = true": "a usage error",
    'port = "2"': "give one",
    'password = "geheim"': "never written inline",
    'passwd = "geheim"': "never written inline",
    'password_script = "geheim"': "never written inline",
    'passwd_script = "geheim"': "never written inline",
    'snmp_priv_passwd = "geheim"': "never written inline",
    'snmp-priv-passwd = "geheim"': "never written inline",
    'PASSWORD = "geheim"': "never written inline",
    'secret_key = "geheim"': "never written inline",
    'apikey = "geheim"': "never written inline",
    r'ssh_options = "a\npassword=b"': "***",
    r'ssh_options = "a\nb"': "a line end",
    r'ssh_options = "a\u0000b"': "a line end",
    "switch = [1]": "must be text, a number",
    'switch = { a = "b" }': "must be text, a number",
    '"a=b" = 1': "not a valid option name",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_refused_option_is_reported(option: str, tmp_path: Path) -> None:
    device = (
        f'[[host.device]]\nname = "pdu"\ndriver = "fence_apc"\noptions = {{ plug = "1", ip = "10.9.1.1", {option} }}\n'
    )
    loaded = load_files(tmp_path, HOST + device)
    assert [mistake.path.rpartition(".")[0] for mistake in loaded.errors] == ["host[0].device[0].options"]
    assert OPTIONS[option] in str(loaded.errors[0])
    assert "geheim" not in str(loaded.errors)


def test_shape_and_reference_mistakes_of_all_files_come_in_one_run(tmp_path: Path) -> None:
    loaded = load_files(
        tmp_path,
        """
        [detection]
        grace = 5
        [bus]
        url = "http://x"
        [inventory]
        files = ["inventory/*"]
        """,
        inventory={
            "a.toml": host("node-1", pdu(more="level = 'one'\n"), more='cluster = "c9"\nrack = 7'),
            "b.yaml": "host:\n- name: node-2\n  cluster: c8\n  address: 10.0.0.2\n- {name: node-3, adress: x}\n",
            "c.json": '{"host": [{"name": "node-2"}], "hosts": []}',
            "d.toml": "[[host]\n",
            "e.yml": "host: [}\n",
            "f.json": '{"host": [',
            "g.txt": "x",
        },
    )
    assert sorted((Path(mistake.file).name, mistake.path) for mistake in loaded.errors) == [
        ("a.toml", "host[0].cluster"),
        ("a.toml", "host[0].device[0].level"),
        ("a.toml", "host[0].rack"),
        ("b.yaml", "host[0].cluster"),
        ("b.yaml", "host[1].adress"),
        ("c.json", "host[0].name"),
        ("c.json", "hosts"),
        ("d.toml", ""),
        ("e.yml", ""),
        ("f.json", ""),
        ("fenced.toml", "bus.url"),
        ("fenced.toml", "detection.grace"),
        ("g.txt", ""),
    ]


def test_a_main_file_that_is_no_toml_is_one_mistake(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, "[daemon]\nname = \n")
    assert [(mistake.file, mistake.path) for mistake in loaded.errors] == [(str(tmp_path / "fenced.toml"), "")]
    assert "not TOML" in loaded.errors[0].reason
    assert "line 2" in loaded.errors[0].reason


def test_a_key_that_is_written_twice_is_called_so(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, '[daemon]\nname = "a"\nname = "b"\n')
    assert "a key is written twice in one table (at line 3" in loaded.errors[0].reason


@pytest.mark.parametrize(
    ("suffix", "text"),
    [("yaml", "host:\n- name: a\n  name: b\n"), ("json", '{"host": [{"name": "a", "name": "b"}]}')],
)
def test_a_key_given_twice_is_a_mistake_in_every_format(suffix: str, text: str, tmp_path: Path) -> None:
    loaded = load_files(tmp_path, '[inventory]\nfiles = ["inventory/*"]\n', inventory={f"a.{suffix}": text})
    assert "'name' is given twice" in loaded.errors[0].reason


def test_yaml_runs_nothing_and_may_merge(tmp_path: Path) -> None:
    text = "host:\n- &a {name: a, rack: r1}\n- <<: *a\n  name: b\n"
    loaded = load_files(tmp_path, '[inventory]\nfiles = ["inventory/*"]\n', inventory={"a.yaml": text})
    assert loaded.configuration is not None, told(loaded.errors)
    assert {host.rack for host in loaded.configuration.inventory.hosts.values()} == {"r1"}
    loaded = load_files(
        tmp_path,
        '[inventory]\nfiles = ["inventory/*"]\n',
        inventory={"a.yaml": "host: !!python/object/apply:os.getcwd []\n"},
    )
    assert "not YAML" in loaded.errors[0].reason


def test_tokens(tmp_path: Path) -> None:
    write(
        tmp_path,
        "tokens",
        "# people\nadmin:aaaaaaaaaaaaaaaaaaaa\n\nroot:bbbbbbbbbbbbbbbbbbbb\nviewer\noperator:c c\nviewer:short\n"
        "operator:aaaaaaaaaaaaaaaaaaaa\n",
    )
    loaded = load_files(tmp_path, '[api]\nlisten = "0.0.0.0:8470"\ntokens_file = "tokens"\n')
    assert [mistake.path for mistake in loaded.errors] == ["line 4", "line 5", "line 6", "line 8"]
    assert {mistake.value for mistake in loaded.errors} == {"***"}
    assert {mistake.file for mistake in loaded.errors} == {str(tmp_path / "tokens")}
    warned = {mistake.path: mistake.reason for mistake in loaded.warnings}
    assert "can be guessed" in warned["line 7"]
    assert "in clear" in warned["api.tls_cert_file"]


def test_the_defaults_warn_that_the_daemon_is_the_only_observer(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, host("node-1", pdu(), more='address = "10.0.0.1"'))
    assert [mistake.path for mistake in loaded.warnings] == ["detection.observers"]


WARNINGS = {
    "host without devices": (HOST, "host[0]", "it can't be fenced"),
    "a protected host for drills": (
        host("n", pdu(), more="drill = true\nprotected = true\n"),
        "host[0].drill",
        "a protected host is not drilled",
    ),
    "more observers than domains": ("[detection]\nobservers = 3\n", "detection.observers", "in 1 failure domain(s)"),
    "a reference on the own machine": (
        '[detection]\nreferences = ["controller"]\n' + host("controller", more='addresses = { storage = "10.1.0.1" }'),
        "detection.references[0]",
        "proves nothing to the daemon itself",
    ),
    "a reference on no network of hosts": (
        '[detection]\nreferences = [{ network = "store", address = "10.1.0.9" }]\n'
        + host("n", more='addresses = { storage = "10.1.0.1" }'),
        "detection.references[0]",
        "no host has an address on this network (store)",
    ),
    "own machine": (host("controller", pdu()), "host[0]", "the machine that the daemon runs on"),
    "no host": ("", "", "there is no host"),
    "grace without effect": ('[detection]\ngrace = "10s"\n', "detection.grace", "3 missed intervals, 15s"),
    "proxy named like a host": (
        HOST + '[[proxy]]\nname = "node-1"\nurl = "http://127.0.0.1:1"\n',
        "proxy[0].name",
        "set host = 'node-1'",
    ),
    "program needed elsewhere only": (
        '[[proxy]]\nname = "p"\nurl = "http://127.0.0.1:1"\n'
        + HOST
        + '[[host.device]]\nname = "x"\ndriver = "fence_nowhere"\ncuts_power = true\nproxies = ["p"]\n',
        "host[0].device[0].driver",
        "its proxies must have it",
    ),
    "identity of an outlet": (host("n", pdu(more='identity = "4c"\n')), "host[0].device[0].identity", "no effect"),
    "credential with inherited proxies": (
        host("n", pdu(more='credential = "at-proxy:x"\n')),
        "host[0].device[0].credential",
        "keeps no credentials",
    ),
    "an operation's key at a device": (
        host("n", pdu(more='restore_timeout = "1m"\n')),
        "host[0].device[0].restore_timeout",
        "no effect here",
    ),
    "a word that is not needed": (
        host("n", pdu(more="cuts_power = true\n")),
        "host[0].device[0].cuts_power",
        "is not needed",
    ),
    "readiness that is not looked at": (
        host("n", BMC.format(ip="10.9.0.1") + "check_ready = false\n"),
        "host[0].device[0].check_ready",
        "always reports",
    ),
    "readiness that nobody looks at": (
        host("n", pdu(more="check_ready = false\n")),
        "host[0].device[0].check_ready",
        "no effect",
    ),
    "an old TLS": (
        host("n", BMC.format(ip="10.9.0.1") + 'tls = "legacy"\n'),
        "host[0].device[0].tls",
        "accepts TLS 1.0",
    ),
    "an old TLS of an agent": (
        host("n", pdu(more='tls = "legacy"\n')),
        "host[0].device[0].tls",
        "speaks TLS itself",
    ),
    "an old TLS over http": (
        host("n", BMC.format(ip="10.9.0.1").replace("https", "http") + 'tls = "legacy"\n'),
        "host[0].device[0].tls",
        "without TLS",
    ),
    "an option that nobody has looked at": (
        host("n", pdu().replace("plug =", "half_off = 1, plug =")),
        "host[0].device[0].options.half_off",
        "make sure that OFF",
    ),
    "a tool of another kind": (
        host("n", pdu().replace("plug =", 'snmpget_path = "/opt/get", plug =')),
        "host[0].device[0].options.snmpget_path",
        "weakens what OFF proves",
    ),
    "a version with which anything reads OFF": (
        host("n", pdu().replace("plug =", 'snmp_version = "2c", plug =')),
        "host[0].device[0].options.snmp_version",
        "weakens what OFF proves",
    ),
    "TLS files without TLS": ('[bus]\nca_file = "tls/ca"\n', "bus.url", "use mqtts://"),
    "readable secret": (
        '[bus]\nurl = "mqtts://b"\nusername = "u"\npassword_file = "agents/../open"\n',
        "bus.password_file",
        "chmod o-r",
    ),
    "private key that all can read": (
        '[proxy_client]\nca_file = "tls/ca"\ncert_file = "tls/cert"\nkey_file = "key"\n',
        "proxy_client.key_file",
        "chmod o-r",
    ),
    "password in clear": (
        '[bus]\nurl = "mqtt://b"\nusername = "u"\npassword_file = "tls/secret"\n',
        "bus.url",
        "in clear",
    ),
    "hosts without an address": (
        host("n", pdu()) + host("m", pdu(plug="2"), more='address = "10.0.0.2"') + host("o", pdu(plug="3")),
        "host[0]",
        "and 1 more hosts",
    ),
    "names that don't resolve": (
        host("n", BMC.format(ip="x.invalid")) + host("m", BMC.format(ip="y.invalid")),
        "",
        "2 of 2 names",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_stops_nothing(name: str, tmp_path: Path) -> None:
    main, path, reason = WARNINGS[name]
    write(tmp_path, "open", "geheim\n", mode=0o644)
    write(tmp_path, "key", certificates()["key"].decode(), mode=0o644)
    loaded = load_files(tmp_path, main)
    assert loaded.configuration is not None, told(loaded.errors)
    assert [mistake for mistake in loaded.warnings if mistake.path == path and reason in mistake.reason], told(
        loaded.warnings
    )


def test_a_mistake_is_a_plain_value() -> None:
    assert Mistake(file="a", path="b", value="c", unit="d", reason="e").reason == "e"
