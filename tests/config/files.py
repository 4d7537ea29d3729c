"""Writes configuration files and loads them as `fenced run` would, without a name server."""

import functools
import tempfile
import textwrap
from collections.abc import Collection, Mapping
from pathlib import Path

from fenced.config.configuration import Configuration
from fenced.config.load import Loaded, load
from fenced.config.mistakes import Mistake
from fenced.config.own_machine import OwnMachine
from fenced.model.drivers import Catalogue
from fenced.proxy.certificates import make_authority, make_daemon
from tests.config.drivers import MuteAgents

OWN_MACHINE = OwnMachine(hostname="controller", names=frozenset({"controller"}), addresses=frozenset({"10.0.0.250"}))
ADDRESSES = {
    "bmc-1.example.org": frozenset({"10.9.0.1"}),
    "bmc-one.example.org": frozenset({"10.9.0.1"}),
    "pdu.example.org": frozenset({"10.9.1.1"}),
    "bmc-6.example.org": frozenset({"10.9.0.1", "fd00:9::1"}),
    "ctl.example.org": frozenset({"10.0.0.250"}),
    "px.example.org": frozenset({"10.0.0.1"}),
    "balanced.example.org": frozenset({"10.0.0.1", "10.0.0.2"}),
}
CLUSTERS = """
[[datacenter]]
name = "dc1"
[[cluster]]
name = "c1"
datacenter = "dc1"
"""
TLS = """
[proxy_client]
ca_file = "tls/ca"
cert_file = "tls/cert"
key_file = "tls/key"
"""


@functools.cache
def certificates(name: str = "fenced-a") -> Mapping[str, bytes]:
    """Return an authority, and a certificate signed by it with its key."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        make_authority(directory)
        make_daemon(directory, name=name)
        names = {"ca": "ca.crt", "cert": f"{name}.crt", "key": f"{name}.key"}
        return {what: (directory / file).read_bytes() for what, file in names.items()}


def resolve(names: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The test's name server."""
    wild = {name: frozenset({"10.0.0.77"}) for name in names if name.endswith(".wild.example.org")}
    return wild | {name: ADDRESSES[name] for name in names if name in ADDRESSES}


def write(directory: Path, name: str, text: str, *, mode: int = 0o600) -> Path:
    """Write a file below the directory, and make the folders that it needs."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    path.chmod(mode)
    return path


def load_files(
    directory: Path,
    main: str,
    *,
    own_machine: OwnMachine = OWN_MACHINE,
    environ: Mapping[str, str] | None = None,
    inventory: Mapping[str, str] | None = None,
    catalogue: Catalogue | None = None,
) -> Loaded:
    """Load `main` with inventory files, as name -> text. Fence agents are searched in `agents/`."""
    for name, content in certificates().items():
        write(directory, f"tls/{name}", content.decode())
    write(directory, "tls/secret", "x")
    for name in ("fence_apc_snmp", "fence_ipmilan", "fence_apc", "fence_instant", "fence_dummy", "fence_virsh"):
        write(directory, f"agents/{name}", "#!/bin/sh\n", mode=0o755)
    for name, text in (inventory or {}).items():
        write(directory, f"inventory/{name}", text)
    if "[daemon]" not in main:
        main = f'[daemon]\nagent_path = ["agents"]\n{main}'
    path = write(directory, "fenced.toml", main)
    return load(
        path, own_machine=own_machine, environ=environ or {}, catalogue=catalogue or MuteAgents(), resolve=resolve
    )


def load_ok(directory: Path, main: str, *, own_machine: OwnMachine = OWN_MACHINE) -> Configuration:
    """Like load_files, for a file without mistakes."""
    loaded = load_files(directory, main, own_machine=own_machine)
    assert loaded.configuration is not None, told(loaded.errors)
    return loaded.configuration


def told(mistakes: tuple[Mistake, ...]) -> list[tuple[str, str, str]]:
    """Return (path, value, reason) of each."""
    return [(mistake.path, mistake.value, mistake.reason) for mistake in mistakes]
