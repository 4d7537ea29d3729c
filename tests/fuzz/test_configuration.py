"""Any text in any configuration file: a configuration, or mistakes with place and reason; never a secret,
never long.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.config.agent_files import load_proxy
from fenced.config.load import load
from fenced.config.mistakes import Mistake, Mistakes, Where
from fenced.config.read import read_inventory, read_toml
from fenced.config.secret_sources import SecretReader
from fenced.config.tokens import read_tokens
from tests.config.drivers import MuteAgents
from tests.config.files import OWN_MACHINE, load_files, resolve
from tests.fuzz.given import fuzz, hostile, mutated
from tests.house.tree import ROOT

SECRET: Final = "Wr0ng-horse-battery"
MISTAKE_CHARACTERS_MAX: Final = 2000
MAIN: Final = [(ROOT / "config/fenced.toml").read_bytes()]
AGENT_FILES: Final = [(ROOT / name).read_bytes() for name in ("config/proxy.toml", "config/beat.toml")]
EXAMPLE: Final = (ROOT / "config/inventory/example.toml").read_bytes()
JSON: Final = json.dumps(
    {
        "datacenter": [{"name": "dc1"}],
        "cluster": [{"name": "c1", "datacenter": "dc1"}],
        "host": [
            {
                "name": "node-1",
                "cluster": "c1",
                "device": [
                    {
                        "name": "bmc",
                        "driver": "redfish",
                        "address": "https://10.9.0.1",
                        "username": "fence",
                        "secrets": {"privacy_file": "secret"},
                        "options": {"system": "1", "verify": True},
                    }
                ],
            }
        ],
    }
).encode()
YAML: Final = b"""\
x: &proxy {name: px1, url: "https://10.0.0.1:8471"}
proxy: [*proxy]
host:
- name: node-1
  device:
  - {name: bmc, driver: redfish, address: "https://10.9.0.1", username: fence, password_file: secret}
  - &pdu {name: pdu, driver: fence_apc_snmp, options: {ip: 10.9.1.1, plug: 1}}
- name: node-2
  device: [{<<: *pdu, options: {ip: 10.9.1.1, plug: !!int 2}}]
"""
YAML_TAGS: Final = st.sampled_from(
    [
        "map",
        "seq",
        "set",
        "omap",
        "pairs",
        "binary",
        "timestamp",
        "int",
        "float",
        "bool",
        "null",
        "str",
        "python/name:x",
    ]
)
YAML_NODES: Final = st.sampled_from(
    ["''", "foo", "[a]", "[[a, b]]", "{a: b}", "{? [a] : b}", "~", "1_", "0x", "-", "2001-99-99"]
)
TAGGED: Final = st.builds(lambda tag, node: f"host: !!{tag} {node}\n".encode(), YAML_TAGS, YAML_NODES)
TOKENS: Final = (
    f"viewer:{SECRET}-look-only-for-people\n# comment\nadmin@alice,until=2027-01-31:{SECRET}-all-for-the-brave\n"
    f"reporter=node-1:{SECRET}-only-this-host\n"
).encode()
DEEP: Final = 60


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the samples name, and a secret."""
    path = tmp_path_factory.mktemp("configuration")
    load_files(path, "")
    (path / "secret").write_text(f"{SECRET}\n")
    (path / "secret").chmod(0o600)
    return path


def assert_told(mistakes: tuple[Mistake, ...] | list[Mistake]) -> None:
    """Each mistake says where and why, in one short printable line without a secret."""
    for mistake in mistakes:
        line = str(mistake)
        assert mistake.file
        assert mistake.reason
        assert line.isprintable(), line
        assert len(line) < MISTAKE_CHARACTERS_MAX
        assert SECRET not in line


def with_secret(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Mutations, with a secret written where a user might put it."""
    places = (b'password = "', b'options = { passwd = "', b'token = "', b'secrets = { privacy = "')
    return st.builds(
        lambda text, place: text + b"\n" + place + SECRET.encode() + b'"' + (b" }" if b"{" in place else b"") + b"\n",
        mutated(samples),
        st.sampled_from(places),
    )


@fuzz(80)
@given(text=hostile(MAIN) | with_secret(MAIN))
@example(b"a = 1" + b"0" * 5000)
@example(b"[daemon]\nname = 1" + b"0" * 5000)
@example(b'"a\\nb" = 1')
@example(b'[inventory]\nfiles = ["a\\u0000b", "*\\u0000"]')
def test_any_main_file(directory: Path, text: bytes) -> None:
    path = directory / "fenced.toml"
    path.write_bytes(text)
    loaded = load(path, own_machine=OWN_MACHINE, environ={}, catalogue=MuteAgents(), resolve=resolve)
    assert (loaded.configuration is None) == bool(loaded.errors)
    assert_told(loaded.errors + loaded.warnings)


@fuzz(200)
@given(suffix_and_text=st.one_of(
    st.tuples(st.just("json"), hostile([JSON])),
    st.tuples(st.just("yaml"), hostile([YAML]) | TAGGED),
    st.tuples(st.just("toml"), hostile([EXAMPLE]) | with_secret([EXAMPLE])),
))  # fmt: skip
@example(("json", b'{"host": 1' + b"0" * 5000 + b"}"))
@example(("json", b'{"host": [{"name": "\\ud800"}], "a\\nb": 1}'))
@example(("yaml", b"host: !!map [a]\n"))
@example(("yaml", b"host: !!timestamp foo\n"))
@example(("yaml", b"host: !!bool foo\n"))
@example(("yaml", b"host: !!int ''\n"))
@example(("yaml", b"- &a [*a]\n"))
@example(("yaml", b"host: &a [*a]\n"))
@example(("yaml", b"&a host: &b {<<: *b}\n"))
def test_any_inventory_file(directory: Path, suffix_and_text: tuple[str, bytes]) -> None:
    suffix, text = suffix_and_text
    path = directory / f"inventory/fuzz.{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    main = f'[daemon]\nagent_path = ["agents"]\n[inventory]\nfiles = ["inventory/fuzz.{suffix}"]\n'
    (directory / "fenced.toml").write_text(main)
    loaded = load(
        directory / "fenced.toml", own_machine=OWN_MACHINE, environ={}, catalogue=MuteAgents(), resolve=resolve
    )
    assert (loaded.configuration is None) == bool(loaded.errors)
    assert_told(loaded.errors + loaded.warnings)


@fuzz(80)
@given(text=hostile(AGENT_FILES) | with_secret(AGENT_FILES))
def test_any_agent_file(directory: Path, text: bytes) -> None:
    path = directory / "agent.toml"
    path.write_bytes(text)
    loaded = load_proxy(path, own_machine=OWN_MACHINE, environ={})
    assert (loaded.configuration is None) == bool(loaded.errors)
    assert_told(loaded.errors + loaded.warnings)


@fuzz(150)
@given(text=hostile([TOKENS]), name=st.text(max_size=6) | st.sampled_from(["x" * 300, "/", "\0"]))
def test_any_file_of_tokens_and_secrets(directory: Path, text: bytes, name: str) -> None:
    mistakes = Mistakes()
    path = directory / "tokens"
    path.write_bytes(text)
    reader = SecretReader({"CREDENTIALS_DIRECTORY": str(directory)}, mistakes)
    tokens = read_tokens(path, Where("x", "api.tokens_file"), reader, mistakes, now=1.8e9)
    for token in tokens:
        assert token.role in {"viewer", "operator", "admin", "reporter"}
        assert bool(token.reports) == (token.role == "reporter")
        assert token.secret.reveal().isascii()
        assert token.secret.reveal().isprintable()
    secret = reader.secret("password", {"file": str(path)}, Where("x", "bus"), directory)
    assert secret is None or not set(secret.reveal()) & set("\r\n\0")
    reader.named({f"{name}_file": name, f"x_{name}": "tokens", "y_credential": name}, Where("x", "secrets"), directory)
    assert_told(mistakes.errors + mistakes.warnings)


def _aliases(line: Callable[[int], str]) -> str:
    return "".join(line(level) for level in range(DEEP))


BOMBS: Final = {
    "lists": "x0: &x0 [a, a]\n" + _aliases(lambda n: f"x{n + 1}: &x{n + 1} [*x{n}, *x{n}]\n") + f"host: *x{DEEP}\n",
    "tables": "x0: &x0 {a: b}\n" + _aliases(lambda n: f"x{n + 1}: &x{n + 1} {{a: *x{n}, b: *x{n}}}\n")
    + f"host: [*x{DEEP}]\n",
    "merges": "x0: &x0 {a: b}\n" + _aliases(lambda n: f"x{n + 1}: &x{n + 1} {{<<: [*x{n}, *x{n}]}}\n")
    + f"host: [*x{DEEP}]\n",
    "options": "x0: &x0 [a, a]\n" + _aliases(lambda n: f"x{n + 1}: &x{n + 1} [*x{n}, *x{n}]\n")
    + "host: [{name: a, device: [{name: b, driver: redfish, address: 'https://10.9.0.1', "
    + f"options: {{a: *x{DEEP}}}}}]}}]\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_aliases_does_not_go_off(directory: Path, name: str) -> None:
    """A bomb that goes off never ends; the time limit of every test notices it."""
    loaded = load_files(
        directory, '[inventory]\nfiles = ["inventory/bomb.yaml"]\n', inventory={"bomb.yaml": BOMBS[name]}
    )
    assert loaded.errors
    assert_told(loaded.errors)


@fuzz(100)
@given(st.text(max_size=60), st.sampled_from(["toml", "json", "yaml"]))
def test_any_text_is_read_whole_or_not_at_all(directory: Path, text: str, suffix: str) -> None:
    mistakes = Mistakes()
    path = directory / f"any.{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read = read_toml if suffix == "toml" else read_inventory
    assert (read(path, mistakes) is None) == bool(mistakes.errors)
    assert_told(mistakes.errors)
