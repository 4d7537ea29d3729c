"""One archive for each machine that needs files from here: `tar xf NAME.tar.gz && NAME/install`, as root.

It holds a secret, so it is readable by root only; remove it here once it is copied.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fenced.proxy.certificates import Signed
from fenced.setup import broker, broker_install
from fenced.setup.daemon import shipped
from fenced.setup.fleet import Fleet

SECRET: Final = 0o600
PLAIN: Final = 0o644
PROGRAM: Final = 0o755
HEAD: Final = """\
#!/bin/sh
# Installs the files beside it. Run it as root, again whenever you like: it writes the same files.
set -eu
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo "run this as root" >&2; exit 1; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of a bundle."""

    content: bytes
    mode: int = PLAIN


def packed(name: str, parts: Mapping[str, Part]) -> bytes:
    """Return the archive; all its files are below NAME/ and belong to root."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for file, part in sorted(parts.items()):
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size, entry.mode = len(part.content), part.mode
            entry.uname = entry.gname = "root"
            archive.addfile(entry, io.BytesIO(part.content))
    return out.getvalue()


def host(fleet: Fleet, name: str, *, password: str | None, signed: Signed, authority: bytes) -> dict[str, Part]:
    """Return what a host needs to send its heartbeat. `password` None: only a renewed certificate."""
    certificate = _tls("beat", signed, authority)
    if password is None:
        return certificate | {
            "install": _script(_files("fenced-beat", ["beat"]) + _used("fenced-beat", "at its next connection"))
        }
    toml = f"""\
# Made by `fenced setup` for {name}.
[beat]
bus = {_text(f"mqtts://{_in_url(fleet.broker[0])}:{broker.PORT}")}
site = {_text(fleet.site)}
host = {_text(name)}
username = {_text(name)}
password_file = "password"
ca_file = "ca.crt"
cert_file = "beat.crt"
key_file = "beat.key"
"""
    return certificate | {
        "beat.toml": Part(content=toml.encode()),
        "password": Part(content=f"{password}\n".encode(), mode=SECRET),
        "fenced-beat": Part(content=shipped("fenced/beat/fenced_beat.py"), mode=PROGRAM),
        "fenced-beat.service": Part(content=shipped("systemd/fenced-beat.service")),
        "install": _script(
            _user("fenced-beat")
            + f"{_packaged('fenced-beat')} || install -m 755 fenced-beat /usr/bin/fenced-beat\n"
            + _files("fenced-beat", ["beat"])
            + "install -m 644 beat.toml /etc/fenced-beat/beat.toml\n"
            + "install -m 400 -o fenced-beat password /etc/fenced-beat/password\n"
            + _enable("fenced-beat")
        ),
    }


def proxy(fleet: Fleet, name: str, *, is_renewal: bool, signed: Signed, authority: bytes) -> dict[str, Part]:
    """Return what a proxy agent needs beside the program itself."""
    certificate = _tls("proxy", signed, authority)
    if is_renewal:
        return certificate | {
            "install": _script(_files("fenced-proxy", ["proxy"]) + _used("fenced-proxy", "within a minute"))
        }
    toml = f"""\
# Made by `fenced setup` for {name}. Every key: config/proxy.toml.
[proxy]
name = {_text(name)}
listen = "{"[::]" if ":" in fleet.proxies[name][0] else "0.0.0.0"}:8471"
tls_cert_file = "proxy.crt"
tls_key_file = "proxy.key"
client_ca_file = "ca.crt"
allow = [{_text(f"CN={fleet.controller_account}")}]

# Lets the daemon look at silent hosts from here, too; docs/proxies.md, a proxy as an observer.
# [look]
# targets = ["10.0.0.0/8"]
"""
    return certificate | {
        "proxy.toml": Part(content=toml.encode()),
        "fenced-proxy.service": Part(content=shipped("systemd/fenced-proxy.service")),
        "install": _script(
            'command -v fenced >/dev/null || { echo "install the program fenced on this machine first" >&2; exit 1; }\n'
            + _user("fenced-proxy")
            + _files("fenced-proxy", ["proxy"])
            + "[ -e /etc/fenced-proxy/proxy.toml ] || install -m 644 proxy.toml /etc/fenced-proxy/proxy.toml\n"
            + _enable("fenced-proxy")
        ),
    }


def client(fleet: Fleet, name: str, *, password: str | None, signed: Signed, authority: bytes) -> dict[str, Part]:
    """Return what another client of the bus needs: an evidence source, or a program that reads."""
    parts = _tls("client", signed, authority)
    if password is None:
        return parts
    read = (
        f"Example: mosquitto_sub -h {fleet.broker[0]} -p {broker.PORT} --cafile ca.crt --cert client.crt "
        f'--key client.key -u {name} -P "$(cat password)" -t "fenced/v1/{fleet.site}/event/#"\n'
    )
    return parts | {
        "password": Part(content=f"{password}\n".encode(), mode=SECRET),
        "README": Part(content=f"Account {name} of the bus.\n{read}".encode()),
    }


def broker_machine(fleet: Fleet, *, passwords: bytes, signed: Signed, authority: bytes) -> dict[str, Part]:
    """Return what the broker needs where it runs on another machine."""
    return {
        "ca.crt": Part(content=authority),
        "broker.crt": Part(content=signed.certificate),
        "broker.key": Part(content=signed.key, mode=SECRET),
        "passwd": Part(content=passwords, mode=SECRET),
        "acl": Part(content=broker.access(fleet).encode()),
        "fenced.conf": Part(content=broker.configuration().encode()),
        "drop-in.conf": Part(content=broker.drop_in().encode()),
        "install": _script(broker_install.script()),
    }


def _tls(stem: str, signed: Signed, authority: bytes) -> dict[str, Part]:
    return {
        "ca.crt": Part(content=authority),
        f"{stem}.crt": Part(content=signed.certificate),
        f"{stem}.key": Part(content=signed.key, mode=SECRET),
    }


def _script(body: str) -> Part:
    return Part(content=(HEAD + body).encode(), mode=PROGRAM)


def _user(name: str) -> str:
    return (
        f"getent passwd {name} >/dev/null || "
        f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {name}\n"
    )


def _files(service: str, stems: list[str]) -> str:
    """Return the lines that install certificates: the key readable by the service only."""
    lines = [f"install -d -m 755 /etc/{service}", f"install -m 644 ca.crt /etc/{service}/ca.crt"]
    for stem in stems:
        lines.append(f"install -m 644 {stem}.crt /etc/{service}/{stem}.crt")
        lines.append(f"install -m 400 -o {service} {stem}.key /etc/{service}/{stem}.key")
    return "\n".join(lines) + "\n"


def _packaged(service: str) -> str:
    """Return the test whether a package brought the service: then its program and unit stay as they are."""
    return f"[ -e /usr/lib/systemd/system/{service}.service ] || [ -e /lib/systemd/system/{service}.service ]"


def _enable(service: str) -> str:
    return (
        f"{_packaged(service)} || install -m 644 {service}.service /etc/systemd/system/{service}.service\n"
        f"systemctl daemon-reload\nsystemctl enable {service}\nsystemctl restart {service}\n"
        f'echo "{service} runs; see: systemctl status {service}"\n'
    )


def _used(service: str, when: str) -> str:
    """Each service reads its certificate again by itself, so nothing is restarted."""
    return f'echo "{service} uses the new certificate {when}"\n'


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
