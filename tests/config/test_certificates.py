"""Certificates that TLS would refuse are mistakes at their keys, before anything starts."""

from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fenced.config.agent_files import load_beat, load_proxy
from fenced.config.load import load
from fenced.config.mistakes import Mistake
from tests.config.drivers import MuteAgents
from tests.config.files import OWN_MACHINE, certificates, resolve, told

TABLES: Final = {
    "run proxy_client": ("[proxy_client]\n", "ca_file", "cert_file", "key_file"),
    "run bus": ('[bus]\nurl = "mqtts://broker"\n', "ca_file", "cert_file", "key_file"),
    "run api": ("[api]\n", "", "tls_cert_file", "tls_key_file"),
    "proxy": ('[proxy]\nallow = ["CN=a"]\n', "client_ca_file", "tls_cert_file", "tls_key_file"),
    "beat": ('[beat]\nbus = "mqtts://broker"\n', "ca_file", "cert_file", "key_file"),
}


def _errors(program: str, path: Path) -> tuple[Mistake, ...]:
    match program:
        case "proxy":
            return load_proxy(path, own_machine=OWN_MACHINE, environ={}).errors
        case "beat":
            return load_beat(path, own_machine=OWN_MACHINE, environ={}).errors
        case _:
            found = load(path, own_machine=OWN_MACHINE, environ={}, catalogue=MuteAgents(), resolve=resolve)
            return tuple(found.errors)


def _encrypted(key: bytes) -> bytes:
    opened = load_pem_private_key(key, password=None)
    return opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


SPOILT: Final = {
    "another key": "key",
    "an encrypted key": "key",
    "half a key": "key",
    "no certificate": "cert",
    "half a certificate": "cert",
    "no authority": "ca",
    "": "",
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("table", TABLES)
def test_what_tls_would_not_take_is_a_mistake(table: str, spoilt: str, tmp_path: Path) -> None:
    head, ca, cert, key = TABLES[table]
    files = dict(certificates())
    match spoilt:
        case "another key":
            files["key"] = certificates("other")["key"]
        case "an encrypted key":
            files["key"] = _encrypted(files["key"])
        case "half a key" | "half a certificate":
            files[SPOILT[spoilt]] = files[SPOILT[spoilt]][:90]
        case "no certificate" | "no authority":
            files[SPOILT[spoilt]] = b"x\n"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "f.toml"
    path.write_text(f'{head}{cert} = "cert"\n{key} = "key"\n' + (f'{ca} = "ca"\n' if ca else ""))
    errors = _errors(table.partition(" ")[0], path)
    expected = {"key": [cert], "cert": [cert], "ca": [ca] if ca else [], "": []}[SPOILT[spoilt]]
    assert [mistake.path.rpartition(".")[2] for mistake in errors] == expected, told(errors)
    assert "PRIVATE" not in str(told(errors))
