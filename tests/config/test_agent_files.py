"""The file of the proxy agent: what it becomes, and its mistakes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fenced.cli.main import main
from fenced.config.agent_files import load_proxy
from tests.config.files import OWN_MACHINE, certificates, told, write

TLS = 'tls_cert_file = "cert"\ntls_key_file = "key"\nclient_ca_file = "ca"\n'


def written(directory: Path, text: str) -> Path:
    for name, content in certificates().items():
        write(directory, name, content.decode())
    write(directory, "secret", "x\n")
    return write(directory, "agent.toml", text)


def test_a_proxy_with_certificates(tmp_path: Path) -> None:
    text = f'[proxy]\nname = "px1"\nstate_dir = "state"\n{TLS}allow = ["CN=fenced-a", "CN=fenced-b"]\n'
    text += "agent_processes = 3\nwarm_agents = false\n"
    configuration = load_proxy(written(tmp_path, text), own_machine=OWN_MACHINE, environ={}).configuration
    assert configuration is not None
    assert (configuration.name, configuration.host, configuration.port) == ("px1", "0.0.0.0", 8471)
    assert configuration.state_dir == tmp_path / "state"
    assert configuration.tls_cert_file == tmp_path / "cert"
    assert configuration.allow == frozenset({"fenced-a", "fenced-b"})
    assert configuration.agent_path == (Path("/usr/sbin"), Path("/usr/local/sbin"))
    assert configuration.agent_processes == 3
    assert configuration.has_warm_agents is False


def test_a_proxy_on_loopback_may_do_without(tmp_path: Path) -> None:
    configuration = load_proxy(
        written(tmp_path, '[proxy]\nlisten = "127.0.0.1:8471"\n'), own_machine=OWN_MACHINE, environ={}
    ).configuration
    assert configuration is not None
    assert configuration.name == "controller"
    assert configuration.tls_cert_file is None


PROXY_MISTAKES = {
    "": ["allow", "client_ca_file", "tls_cert_file", "tls_key_file"],
    'listen = "10.0.0.1:8471"': ["allow", "client_ca_file", "tls_cert_file", "tls_key_file"],
    f"{TLS}": ["allow"],
    f'{TLS}allow = ["fenced-a"]': ["allow[0]"],
    f'{TLS}allow = ["CN="]': ["allow[0]"],
    'listen = "127.0.0.1:8471"\ntls_cert_file = "cert"': ["allow", "client_ca_file", "tls_key_file"],
    'listen = "127.0.0.1"': ["listen"],
    'listen = "127.0.0.1:1"\nagent_processes = 0\nx = 1': ["agent_processes", "x"],
    f'{TLS.replace("ca_file", "ca_fil")}allow = ["CN=a"]': ["client_ca_fil"],
}


@pytest.mark.parametrize("text", PROXY_MISTAKES)
def test_mistakes_of_a_proxys_file(text: str, tmp_path: Path) -> None:
    loaded = load_proxy(written(tmp_path, f"[proxy]\n{text}\n"), own_machine=OWN_MACHINE, environ={})
    assert loaded.configuration is None
    found = sorted(mistake.path.removeprefix("proxy.") for mistake in loaded.errors)
    assert found == PROXY_MISTAKES[text], told(loaded.errors)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    loaded = load_proxy(tmp_path / "x", own_machine=OWN_MACHINE, environ={})
    assert [mistake.reason for mistake in loaded.errors] == ["no such file"]


def test_pins_are_the_proxys_own(tmp_path: Path) -> None:
    text = (
        '[proxy]\nlisten = "127.0.0.1:1"\noptions = ["ipmitool_path"]\nfile_dirs = ["lent"]\n'
        '[credentials.bmc]\naddresses = ["10.9.0.1"]\npins = { ca_file = "ca", ssl-insecure = true, secure = true }\n'
    )
    configuration = load_proxy(written(tmp_path, text), own_machine=OWN_MACHINE, environ={}).configuration
    assert configuration is not None
    assert configuration.credentials["bmc"].pins == {
        "ca_file": str(tmp_path / "ca"),
        "ssl-insecure": True,
        "secure": True,
    }
    assert (configuration.options, configuration.file_dirs) == (frozenset({"ipmitool_path"}), (tmp_path / "lent",))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('options = ["fingerprint"]', "options[0]"),
        ('options = ["plug", "SSL-insecure"]', "options[1]"),
        ("pins = { plug = 1 }", "pins.plug"),
        ('pins = { IPaddr = "10.9.0.2" }', "pins.IPaddr"),
        ("pins = { fingerprint = [1] }", "pins.fingerprint"),
        ('pins = { ca_file = "missing" }', "pins.ca_file"),
    ],
)
def test_mistakes_of_pins(line: str, path: str, tmp_path: Path) -> None:
    text = f'[proxy]\nlisten = "127.0.0.1:1"\n[credentials.bmc]\naddresses = ["10.9.0.1"]\n{line}\n'
    loaded = load_proxy(written(tmp_path, text), own_machine=OWN_MACHINE, environ={})
    assert [mistake.path for mistake in loaded.errors] == [f"credentials.bmc.{path}"], told(loaded.errors)


def test_credentials_of_the_unit_are_a_warning_for_a_person_who_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = '[proxy]\nlisten = "127.0.0.1:8471"\n'
    text += '[credentials.bmc]\naddresses = ["10.0.0.0/8"]\nusername = "u"\npassword_credential = "bmc"\n'
    file = written(tmp_path, text)
    checked = CliRunner().invoke(main, ["proxy", "-c", str(file), "--check"])
    assert checked.exit_code == 0, checked.output
    assert "LoadCredential=bmc:FILE" in checked.output
    assert "password_credential" in str(load_proxy(file, own_machine=OWN_MACHINE, environ={}).errors)  # the agent's
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert CliRunner().invoke(main, ["proxy", "-c", str(file), "--check"]).exit_code == 78
    (tmp_path / "bmc").write_text("geheim\n")
    assert CliRunner().invoke(main, ["proxy", "-c", str(file), "--check"]).exit_code == 0


def test_what_a_proxy_looks_at(tmp_path: Path) -> None:
    text = '[proxy]\nlisten = "127.0.0.1:1"\n[look]\ntargets = ["10.0.0.0/8", "192.0.2.7", "fd00::/64", "fd01::1"]\n'
    configuration = load_proxy(written(tmp_path, text), own_machine=OWN_MACHINE, environ={}).configuration
    assert configuration is not None and configuration.look is not None
    look = configuration.look
    assert (look.targets, look.ports) == (("10.0.0.0/8", "192.0.2.7", "fd00::/64", "fd01::1"), (22,))
    allowed = ("10.9.9.9", "192.0.2.7", "fd00::7", "fd01::1", "::ffff:10.0.0.1")
    assert [look.why_not(address, 22) for address in allowed] == [None] * 5
    refused = ("11.0.0.1", "192.0.2.8", "fd02::1", "::ffff:11.0.0.1", "127.0.0.1", "0.0.0.0", "::")
    assert all("in no network of [look] targets" in str(look.why_not(address, 22)) for address in refused)
    assert look.why_not("10.9.9.9", 23) == "port 23 is not in [look] ports"


def test_without_a_table_it_looks_at_nothing(tmp_path: Path) -> None:
    text = '[proxy]\nlisten = "127.0.0.1:1"\n'
    configuration = load_proxy(written(tmp_path, text), own_machine=OWN_MACHINE, environ={}).configuration
    assert configuration is not None and configuration.look is None


@pytest.mark.parametrize(
    ("lines", "path", "reason"),
    [
        ("", "targets", "is missing"),
        ("targets = []", "targets", "is missing"),
        ('targets = ["10.0.0.1/8"]', "targets[0]", "has host bits set"),
        ('targets = ["10.0.0.0/8", "node-1"]', "targets[1]", "must be an IP address or a network"),
        ('targets = ["0.0.0.0/0"]', "targets[0]", "contains every address"),
        ('targets = ["::/0"]', "targets[0]", "contains every address"),
        ('targets = ["::ffff:10.0.0.0/104"]', "targets[0]", "write IPv4 addresses as such"),
        ('targets = ["10.0.0.0/8"]\nports = []', "ports", "must have 1 to"),
        ('targets = ["10.0.0.0/8"]\nports = [0]', "ports", "must be 1 to 65535"),
        ('targets = ["10.0.0.0/8"]\nnetworks = []', "networks", "unknown key"),
        ("targets = [" + ", ".join(f'"10.0.0.{number}"' for number in range(65)) + "]", "targets", "at most 64"),
    ],
)
def test_mistakes_of_what_a_proxy_looks_at(lines: str, path: str, reason: str, tmp_path: Path) -> None:
    loaded = load_proxy(
        written(tmp_path, f'[proxy]\nlisten = "127.0.0.1:1"\n[look]\n{lines}\n'), own_machine=OWN_MACHINE, environ={}
    )
    assert [mistake.path for mistake in loaded.errors] == [f"look.{path}"], told(loaded.errors)
    assert reason in loaded.errors[0].reason
