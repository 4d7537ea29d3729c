"""The settings of the beat: from its file with every mistake at once, from options, and from files that change."""

import ast
import os
import socket
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from fenced import __version__
from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import KEYS, Settings, from_file, main, parse_duration, parse_url
from fenced.config import durations
from fenced.config.keys import NAME_PATTERN
from tests.config.files import certificates, write

TLS: Final = 'ca_file = "ca"\ncert_file = "cert"\nkey_file = "key"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in certificates().items():
        write(tmp_path, name, content.decode())
    write(tmp_path, "secret", "geheim\n")
    return tmp_path


def loaded(folder: Path, text: str) -> tuple[Settings | None, list[str]]:
    path = write(folder, "beat.toml", f"[beat]\n{text}\n")
    settings, lines = from_file(str(path))
    assert all(line.startswith(f"{path}: ") for line in lines)
    lines = [line.removeprefix(f"{path}: ") for line in lines]
    assert "geheim" not in str(lines)
    return settings, lines


def keys(lines: list[str]) -> list[str]:
    return [line.partition(":")[0].removeprefix("beat.") for line in lines]


def test_the_file_is_one_file_of_its_own() -> None:
    source = Path(fenced_beat.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert {str(module).partition(".")[0] for module in modules} <= sys.stdlib_module_names
    assert source.startswith("#!/usr/bin/python3 -IS\n")
    assert os.access(fenced_beat.__file__, os.X_OK)
    assert __version__ == fenced_beat.VERSION
    assert NAME_PATTERN.pattern == fenced_beat.NAME


def test_a_file_for_the_bus(folder: Path) -> None:
    text = f'bus = "mqtts://broker.example.org"\nsite = "s"\nhost = "node-1"\ninterval = "1s"\nusername = "u"\n{TLS}'
    settings, lines = loaded(folder, text + 'password_file = "secret"')
    assert settings is not None, lines
    assert (settings.scheme, settings.address, settings.port) == ("mqtts", "broker.example.org", 8883)
    assert (settings.site, settings.host, settings.interval, settings.username) == ("s", "node-1", 1, "u")
    assert (settings.ca_file, settings.secret.read()) == (str(folder / "ca"), "geheim")
    assert lines == []


def test_a_file_for_the_api(folder: Path) -> None:
    settings, lines = loaded(folder, 'api = "https://[fd00::1]:443/"\nhost = "node-1"\nbus = ""\ntoken_file = "secret"')
    assert settings is not None, lines
    assert (settings.scheme, settings.address, settings.port) == ("https", "fd00::1", 443)
    assert (settings.is_mqtt, settings.is_tls, settings.secret.read()) == (False, True, "geheim")


def test_an_empty_file_has_defaults(folder: Path) -> None:
    settings, lines = loaded(folder, "")
    assert settings is not None, lines
    assert (settings.scheme, settings.address, settings.port) == ("mqtt", "127.0.0.1", 1883)
    assert (settings.host, settings.site) == (socket.gethostname(), "site-1")


MISTAKES: Final = {
    'password = "geheim"': ["password"],
    'token = "geheim"': ["token"],
    'hostt = "x"': ["hostt"],
    'bus = "embedded://127.0.0.1:1883"': ["bus"],
    'bus = "http://x"': ["bus"],
    'bus = "mqtt://u:geheim@x"': ["bus"],
    'bus = "mqtt://x:0"': ["bus"],
    'bus = "mqtt://x:65536"': ["bus"],
    'bus = "mqtt://x/y"': ["bus"],
    'bus = "mqtt:// x"': ["bus"],
    'bus = ""': ["bus"],
    'api = "mqtt://x"': ["api"],
    'api = "https://x"\nbus = "mqtt://x"': ["api"],
    'api = "https://x"\nusername = "u"': ["username"],
    'token_file = "secret"': ["token_file"],
    'interval = "0s"': ["interval"],
    'interval = "49ms"': ["interval"],
    'interval = "61m"': ["interval"],
    'interval = "5"': ["interval"],
    "interval = 5": ["interval"],
    "host = true": ["host"],
    'host = "a b"': ["host"],
    'host = "a\\nb"': ["host"],
    f'host = "{"a" * 254}"': ["host"],
    f'ca_file = "{"a" * 4097}"': ["ca_file"],
    'username = "u"\npassword_file = "nowhere"': ["password_file"],
    'username = "u"\npassword_env = "NOT_SET_HERE"': ["password_env"],
    'username = "u"\npassword_credential = "x"': ["password_credential"],
    'username = "u"\npassword_file = "secret"\npassword_env = "HOME"': ["password_env"],
    'password_file = "secret"': ["username"],
    'bus = "mqtts://x"\ncert_file = "cert"': ["key_file"],
    'bus = "mqtts://x"\nkey_file = "key"': ["cert_file"],
    'bus = "http://a"\ninterval = "5"\nhostt = "node-1"\nca_file = "nowhere"\nb = 1.5': [
        "line 6", "interval", "hostt", "bus", "ca_file",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes(text: str, folder: Path) -> None:
    settings, lines = loaded(folder, text)
    assert settings is None
    assert keys(lines) == MISTAKES[text], lines


WARNINGS: Final = {
    'bus = "mqtt://10.0.0.1"\nusername = "u"\npassword_file = "secret"': ["bus"],
    'bus = "mqtt://127.0.0.1"\nusername = "u"\npassword_file = "open"': ["password_file"],
    'api = "http://10.0.0.1"\ntoken_file = "secret"': ["api"],
    f'bus = "mqtt://x"\n{TLS}': ["bus"],
}


@pytest.mark.parametrize("text", WARNINGS)
def test_warnings(text: str, folder: Path) -> None:
    write(folder, "open", "geheim\n", mode=0o644)
    settings, lines = loaded(folder, text)
    assert settings is not None
    assert keys(lines) == WARNINGS[text], lines


def test_secrets_are_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = loaded(folder, 'username = "u"\npassword_file = "secret"')
    assert settings is not None
    write(folder, "secret", "renewed\r\n")
    assert settings.secret.read() == "renewed"
    for text, why in {"": "is empty", "a\nb\n": "one line", "a\0b": "one line"}.items():
        write(folder, "secret", text)
        with pytest.raises(ValueError, match=why):
            settings.secret.read()
    write(folder, "secret", "to ken\n")
    _, lines = loaded(folder, 'api = "https://x"\ntoken_file = "secret"')
    assert keys(lines) == ["token_file"]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.setenv("TOKEN", "from-the-environment")
    write(folder, "secret", "geheim\n")
    for text, expected in {
        'token_credential = "secret"': "geheim",
        'token_env = "TOKEN"': "from-the-environment",
    }.items():
        settings, lines = loaded(folder, f'api = "https://x"\n{text}')
        assert settings is not None, lines
        assert settings.secret.read() == expected
    settings, lines = loaded(folder, 'api = "https://x"\ntoken_credential = "../secret"')
    assert keys(lines) == ["token_credential"]


def broken(folder: Path) -> dict[str, str]:
    """Make every kind of file that can't be read. Return the name and the reason."""
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    with (folder / "huge").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    return {
        "missing": "no such file", "loop": "can't be read", "cert/x": "can't be read", "folder": "not a file",
        "fifo": "not a file", "device": "not a file", "binary": "not ", "huge": "larger than",
        "n" * 300: "can't be read",
    }  # fmt: skip


def test_broken_files_are_mistakes_at_their_keys(folder: Path) -> None:
    for name, why in broken(folder).items():
        for key, more in {
            "ca_file": "",
            "cert_file": 'key_file = "key"',
            "key_file": 'cert_file = "cert"',
            "password_file": 'username = "u"',
        }.items():
            settings, lines = loaded(folder, f'bus = "mqtts://x"\n{more}\n{key} = "{name}"')
            assert settings is None
            pair = {"cert_file", "key_file"} if name == "binary" and key != "ca_file" else set()
            assert set(keys(lines)) <= {key} | pair, lines
            assert why in lines[0] or name == "binary", lines
        if name not in ("binary", "huge"):
            assert why in from_file(str(folder / name))[1][0]


def encrypted(key: bytes) -> bytes:
    opened = load_pem_private_key(key, password=None)
    return opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def test_what_tls_would_not_accept_is_a_mistake(folder: Path) -> None:
    good = certificates()
    spoilt = {
        "key": (certificates("other")["key"], encrypted(good["key"]), good["key"][:90]),
        "cert": (b"x\n", good["cert"][:90]),
        "ca": (b"x\n",),
    }
    assert loaded(folder, f'bus = "mqtts://x"\n{TLS}')[1] == []
    for name, contents in spoilt.items():
        for content in contents:
            (folder / name).write_bytes(content)
            _, lines = loaded(folder, f'bus = "mqtts://x"\n{TLS}')
            assert keys(lines) == ["ca_file" if name == "ca" else "cert_file"], lines
            assert "PRIVATE" not in str(lines)
        (folder / name).write_bytes(good[name])


@given(
    st.from_regex(r"([0-9]{1,3}d)?([0-9]{1,2}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?([0-9]{1,7}ms)?", fullmatch=True)
    | st.text("0159dhms ", max_size=8)
)
def test_durations_are_those_of_the_daemon(text: str) -> None:
    try:
        expected = durations.parse_duration(text)
    except ValueError:
        with pytest.raises(ValueError, match="not a duration"):
            parse_duration(text)
        return
    if 0.05 <= expected <= 3600:
        assert parse_duration(text) == expected
    else:
        with pytest.raises(ValueError, match="too short: at least 50ms" if expected < 1 else "too long: at most 1h"):
            parse_duration(text)


def test_urls() -> None:
    mqtt, http = ("mqtt", "mqtts"), ("https", "http")
    assert parse_url("mqtt://a.b-c", mqtt) == ("mqtt", "a.b-c", 1883)
    assert parse_url("mqtts://[::1]", mqtt) == ("mqtts", "::1", 8883)
    assert parse_url("https://10.0.0.1", http) == ("https", "10.0.0.1", 8470)
    for text in (
        "mqtt://::1",
        "mqtt://[::1",
        "mqtt://a?b",
        "mqtt://a#b",
        "mqtt://a:b",
        "mqtt://:1",
        "a",
        "",
        "mqtt:/a",
    ):
        with pytest.raises(ValueError, match="must be"):
            parse_url(text, mqtt)


OPTIONS: Final = {
    "": "either -c FILE, or --bus URL",
    "--host a": "either -c FILE, or --bus URL",
    "-c x --host a": "either -c FILE, or --bus URL",
    "--bus mqtt://a --api https://a --host a": "either -c FILE, or --bus URL",
    "--bus mqtt://127.0.0.1": "--bus needs --host",
    "--api https://127.0.0.1": "--api needs --host",
    "--bus http://127.0.0.1 --host a": "--bus: must begin with mqtts:// or mqtt://",
    "--bus mqtt://me:secret@127.0.0.1 --host a": "never written inline",
    "--bus mqtt://127.0.0.1 --host a/b": "--host: a name is",
    "--bus mqtt://127.0.0.1 --host a --interval 5": "--interval: not a duration",
    "--bus mqtt://127.0.0.1 --host a --interval 0s": "--interval: too short",
    "--bus mqtt://127.0.0.1 --host a --password-file /nowhere": "--password-file: no such file",
    "--bus mqtt://127.0.0.1 --host a --token-file /nowhere": "--token-file: is only for api",
    "--bus mqtt://127.0.0.1 --host a --workloads -1": "--workloads",
    "--bus mqtt://127.0.0.1 --host a --qos 2": "--qos",
    "--bus mqtt://127.0.0.1 --host a --inter 5s": "--inter",
    "--bus mqtt://127.0.0.1 --host a b": "b",
}


@pytest.mark.parametrize("line", OPTIONS)
def test_wrong_options_are_reported(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert OPTIONS[line] in capsys.readouterr().err


def test_every_key_that_a_command_line_can_give_is_an_option() -> None:
    known = {action.dest for action in fenced_beat.options()._actions}
    assert {key for key, *_ in KEYS if not key.endswith(("_env", "_credential"))} <= known
