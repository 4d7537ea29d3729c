"""What the tests of `fenced setup` share."""

import base64
import tarfile
from pathlib import Path

from fenced.setup.accounts import Accounts, hashed

FIRST = ("--broker", "bus.example.org", "--host", "node-1=10.0.0.1", "--host", "node-2")


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def bundle(root: Path, name: str) -> dict[str, str]:
    with tarfile.open(root / f"etc/fenced/bundles/{name}.tar.gz") as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {file: content.read().decode() for file, content in files.items() if content is not None}


def accounts(root: Path) -> dict[str, str]:
    return Accounts.parse((root / "etc/mosquitto/fenced.passwd").read_text()).lines


def password_fits(line: str, password: str) -> bool:
    _, kind, _, salt, _ = line.split(":", 1)[1].split("$")
    assert kind == "7"
    return line.endswith(hashed(password.strip(), salt=base64.b64decode(salt)))
