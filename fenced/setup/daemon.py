"""What the daemon's machine needs: fenced.toml, a first inventory, the units and users, and the program's place."""

import importlib.resources
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fenced.setup.broker import PORT
from fenced.setup.fleet import Fleet, NotSetUp

FOLDER: Final = Path("/etc/fenced")
CONFIGURATION: Final = FOLDER / "fenced.toml"
INVENTORY: Final = FOLDER / "inventory/hosts.toml"
SECRETS: Final = FOLDER / "secrets"
PASSWORD: Final = SECRETS / "bus"
AUTHORITY: Final = FOLDER / "authority"
TLS: Final = FOLDER / "tls"
BUNDLES: Final = FOLDER / "bundles"
MANIFEST: Final = FOLDER / "setup.json"
UNITS: Final = Path("/etc/systemd/system")
PACKAGED_UNITS: Final = (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
UNIT_FILES: Final = ("fenced.service", "fenced@.service", "fenced-renew.service", "fenced-renew.timer")
COMMANDS: Final = {
    "fenced": f"run -c {CONFIGURATION}",
    "fenced@": f"run -c {FOLDER}/%i.toml",
    "fenced-renew": "setup --renew",
}
"""What the program is called with, by service."""
SYSUSERS: Final = Path("/usr/lib/sysusers.d/fenced.conf")
PROGRAM: Final = "/usr/bin/fenced"


def shipped(name: str) -> bytes:
    """Return a file that the program brings, as systemd/fenced.service: from the package, or from the source tree."""
    for base in (importlib.resources.files("fenced") / "shipped", Path(__file__).parents[2]):
        file = base.joinpath(*name.split("/"))
        if file.is_file():
            return file.read_bytes()
    raise NotSetUp(f"{name} is missing in this installation of fenced: install it again")


def configuration(fleet: Fleet, *, is_broker_here: bool) -> str:
    """Return the first fenced.toml: only what this installation needs; every other key keeps its default."""
    broker = "127.0.0.1" if is_broker_here else fleet.broker[0]
    return f"""\
# Made by `fenced setup`; yours to edit. Every key: fenced.toml of the documentation. Then: systemctl reload fenced

[daemon]
name = {_text(fleet.controller)}
site = {_text(fleet.site)}
armed = false                        # false: decide, record and announce, but never switch power

[bus]
url = {_text(f"mqtts://{_in_url(broker)}:{PORT}")}
username = {_text(fleet.controller_account)}
password_file = "secrets/bus"
ca_file = "tls/ca.crt"
cert_file = "tls/controller.crt"
key_file = "tls/controller.key"

[proxy_client]
ca_file = "tls/ca.crt"
cert_file = "tls/controller.crt"
key_file = "tls/controller.key"

[defaults]
automatic = false                    # fence no host automatically, also when armed; arming.md opens it by cluster

[check]
interval = "1h"                      # read every path to every power device once in it; "0s": never

[inventory]
files = ["inventory/*.toml"]
"""


def inventory(fleet: Fleet, addresses: Sequence[tuple[str, str]]) -> str:
    """Return the first inventory: the hosts, each with a place for its power devices. `addresses`: (host, address)."""
    known = dict(addresses)
    head = (
        "# Made by `fenced setup`; yours to edit. Give each host the power devices that switch it off, both feeds in\n"
        f"# one level. Keys: configuration.md; drivers: drivers.md. Check: fenced check-config {CONFIGURATION}"
    )
    parts = [head]
    parts += [
        f"[[proxy]]\nname = {_text(name)}\nurl = {_text(f'https://{_in_url(where[0])}:8471')}"
        for name, where in fleet.proxies.items()
    ]
    for host in fleet.hosts:
        address = f"\naddress = {_text(known[host])}" if known.get(host) else ""
        parts.append(
            f"[[host]]\nname = {_text(host)}{address}\n"
            "# [[host.device]]\n"
            '# name = "bmc"\n'
            '# driver = "redfish"\n'
            '# address = "https://ADDRESS-OF-THE-BMC"\n'
            '# username = "fence"\n'
            f'# password_file = "../secrets/{host}"    # one line; owner fenced, mode 400'
        )
    return "\n\n".join(parts) + "\n"


def program_drop_in(program: str, words: str) -> str:
    """Return the drop-in that runs the program, with these arguments, from where it is installed."""
    return (
        "# Written by `fenced setup`: the program is not in /usr/bin.\n[Service]\n"
        f"ExecStart=\nExecStart={program} {words}\n"
    )


def _text(value: str) -> str:
    """Return a TOML basic string; names and addresses need no other escapes than those of JSON."""
    return json.dumps(value, ensure_ascii=False)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
