"""Write an import as TOML text, and decide the files of its secrets.

The text never holds a secret. `text` and `secret_files` agree on the names, so that a file that is missing is one that
the operator was asked to make. Existing files are never overwritten without `is_forced`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.imports.shape import Device, Host, Imported, NotImported, Value
from fenced.model.inventory import Secret
from fenced.model.text import one_line, some

SECRETS: Final = "secrets"
SECRET_MODE: Final = 0o400
SECRETS_FOLDER_MODE: Final = 0o750
INVENTORY_MODE: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A file below the folder of secrets. `secret`: None if the source does not have the value."""

    name: str
    secret: Secret | None


def secret_files(imported: Imported) -> dict[tuple[str, str], SecretFile]:
    """Return the files by (name of the host, name of the device, name of the secret), the first two joined with "/".

    Devices of one stem share a file if the secret is the same; otherwise the host's name makes the file its own.
    """
    taken: dict[str, Secret | None] = {}
    files: dict[tuple[str, str], SecretFile] = {}
    for host in imported.hosts:
        for device in host.devices:
            for name, secret in device.secrets.items():
                tail = "" if name == "password" else f"-{name}"
                wanted = f"{device.secret_stem or f'{host.name}-{device.name}'}{tail}"
                file, number = wanted, 1
                while file in taken and taken[file] != secret:
                    number += 1
                    file = f"{wanted}-{number}"
                taken[file] = secret
                files[(f"{host.name}/{device.name}", name)] = SecretFile(name=file, secret=secret)
    return files


def text(imported: Imported, *, head: tuple[str, ...], secrets: str = SECRETS) -> str:
    """Return the inventory file. `head`: lines of its first comment; `secrets`: the folder of the secret files."""
    files = secret_files(imported)
    clusters: dict[str, Mapping[str, Value]] = {host.cluster: {} for host in imported.hosts if host.cluster}
    clusters.update(imported.clusters)
    lines = [f"# {one_line(line)}".rstrip() for line in head]
    for name in imported.datacenters:
        lines += ["", "[[datacenter]]", f"name = {_written(name)}"]
    for name, keys in clusters.items():
        lines += ["", "[[cluster]]", *_keys({"name": name, **keys})]
    for host in imported.hosts:
        lines += ["", *_host(host)]
        for device in host.devices:
            lines += ["", *(f"  {line}" for line in _device(host, device, files, secrets))]
    return "\n".join(lines) + "\n"


def _host(host: Host) -> Iterator[str]:
    yield "[[host]]"
    yield from _keys({"name": host.name, **({"cluster": host.cluster} if host.cluster else {}), **host.keys})


def _device(host: Host, device: Device, files: Mapping[tuple[str, str], SecretFile], secrets: str) -> Iterator[str]:
    yield "[[host.device]]"
    keys: dict[str, Value] = {"name": device.name, "driver": device.driver}
    if device.level != 1:
        keys["level"] = device.level
    keys |= {key: value for key in ("address", "username", "password_file") if (value := getattr(device, key))}
    further = {}
    for name in device.secrets:
        path = f"{secrets}/{files[(f'{host.name}/{device.name}', name)].name}"
        if name == "password":
            keys["password_file"] = path
        else:
            further[f"{name}_file"] = path
    yield from _keys({**keys, **device.keys})
    if further:
        yield f"secrets = {_table(further)}"
    if device.options:
        yield f"options = {_table(device.options)}"


def _keys(keys: Mapping[str, Value]) -> Iterator[str]:
    return (f"{key} = {_written(value)}" for key, value in keys.items())


def _table(values: Mapping[str, Value]) -> str:
    return "{ " + ", ".join(f"{_key(key)} = {_written(value)}" for key, value in values.items()) + " }"


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if is_bare else _written(key)


def _written(value: Value) -> str:
    """Return a value in TOML. JSON's strings are TOML's, except for DEL, which TOML wants escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def why_not_written(paths: list[Path]) -> str:
    """Return why these files can't be made; "" if nothing is in the way."""
    present = [str(path) for path in paths if os.path.lexists(path)]
    return f"{some(present, 3)}: exists already; use --force to replace it" if present else ""


def write_secrets(folder: Path, files: list[SecretFile]) -> None:
    """Write the secrets that have a value, with mode 400. Raises NotImported."""
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(SECRETS_FOLDER_MODE)
    except OSError as exc:
        raise NotImported(f"{folder}: can't be made: {exc.strerror}") from exc
    for file in files:
        if file.secret is not None:
            write(folder / file.name, file.secret.reveal() + "\n", mode=SECRET_MODE)


def write(path: Path, content: str, *, mode: int = INVENTORY_MODE) -> None:
    """Write through a new file that has its mode from the start, then replace the old one. Raises NotImported."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, UnicodeEncodeError) as exc:
        raise NotImported(f"{path}: can't be written: {getattr(exc, 'strerror', None) or exc}") from exc
