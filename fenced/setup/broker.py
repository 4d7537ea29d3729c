"""What Mosquitto needs: its configuration beside Debian's own, the access list, and a drop-in for its unit.

One listener with TLS. Each client shows a certificate of the private authority and logs in with an account; the account
is also its client id, so no client can take another's place. The access list gives each account what it may write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.setup.fleet import Fleet

FOLDER: Final = Path("/etc/mosquitto")
CONFIGURATION: Final = FOLDER / "conf.d/fenced.conf"
ACCESS: Final = FOLDER / "fenced.acl"
PASSWORDS: Final = FOLDER / "fenced.passwd"
AUTHORITY: Final = FOLDER / "ca_certificates/fenced-ca.crt"
CERTIFICATE: Final = FOLDER / "certs/fenced-broker.crt"
KEY: Final = FOLDER / "certs/fenced-broker.key"
DROP_IN: Final = Path("/etc/systemd/system/mosquitto.service.d/fenced.conf")
PORT: Final = 8883
GROUP: Final = "mosquitto"
NAME: Final = "fenced-broker"
HEAD: Final = "# Written by `fenced setup`, which updates it as long as nobody edits it.\n"

ONCE: Final = (
    "allow_anonymous", "password_file", "acl_file", "autosave_interval", "max_packet_size", "set_tcp_nodelay",
    "max_queued_messages",
)  # fmt: skip
"""Settings of `configuration` that no other file of Mosquitto may have: it uses the last one, or does not start."""


WRITTEN: Final = ("event", "event/+", "state/+", "controller/+", "reply/+", "command/+", "info")
"""What the daemon writes, and nobody else."""


def configuration() -> str:
    """Return conf.d/fenced.conf."""
    return f"""\
{HEAD}\
# One listener: TLS, a certificate of the private authority, and an account for each client.

listener {PORT}
cafile {AUTHORITY}
certfile {CERTIFICATE}
keyfile {KEY}
require_certificate true
# The account is the client id. Otherwise any account could take the daemon's client id and disconnect the daemon.
# The setting applies to this listener only: repeat it below each other `listener` of this broker.
use_username_as_clientid true

allow_anonymous false
password_file {PASSWORDS}
acl_file {ACCESS}

# Retained messages survive a restart of the broker (Debian's mosquitto.conf has `persistence true`).
autosave_interval 30
# Send small messages at once, not 40 ms later.
set_tcp_nodelay true
# In bytes, with topic and headers: larger than any message of fenced, which has at most 65536 bytes of content.
max_packet_size 70000
# An outage of the daemon must not fill the broker's memory.
max_queued_messages 10000
"""


def access(fleet: Fleet) -> str:
    """Return fenced.acl. A host writes its own heartbeat and what it says of itself (`%u` is the account), and reads
    the orders for it; nobody else announces or orders."""
    topic = f"fenced/v1/{fleet.site}"
    parts = [
        HEAD + "# An account that is not named here is a host's reporter: only the last lines are for it.",
        f"# The daemon reads everything and announces.\nuser {fleet.controller_account}\ntopic read {topic}/#\n"
        + "\n".join(f"topic write {topic}/{name}" for name in WRITTEN),
    ]
    for source in fleet.sources:
        parts.append(
            f"# An evidence source for every host, under its own name.\nuser {source}\n"
            f"topic write {topic}/evidence/+/{source}"
        )
    for reader in fleet.readers:
        parts.append(
            f"# It only reads, for example to recover what ran on a fenced host.\nuser {reader}\n"
            + "\n".join(
                f"topic read {topic}/{name}" for name in ("event", "event/+", "state/+", "controller/+", "info")
            )
        )
    own = [f"pattern write {topic}/{it}" for it in ("health/%u", "presence/%u", "evidence/%u/beat")]
    parts.append("\n".join(("# Every host, for itself.", *own, f"pattern read {topic}/command/%u")))
    return "\n\n".join(parts) + "\n"


def drop_in() -> str:
    """Return the drop-in for Debian's mosquitto.service: more clients, a restart, and no more rights than it uses."""
    return f"""\
{HEAD}\
[Unit]
StartLimitIntervalSec=0

[Service]
# One descriptor for each client; Debian's limit ends at about a thousand hosts.
LimitNOFILE=65536
Restart=always
RestartSec=1s
OOMScoreAdjust=-900

# Debian starts it as root, and it drops its rights by itself. systemd does both with fewer rights from the start.
User=mosquitto
Group=mosquitto
ExecStartPre=
RuntimeDirectory=mosquitto
StateDirectory=mosquitto
LogsDirectory=mosquitto
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A line of another file of the broker that does not go with ours. `is_fatal`: the broker would not start."""

    place: str
    text: str
    why: str
    is_fatal: bool


def conflicts(files: Mapping[Path, str]) -> list[Conflict]:
    """Return what in the broker's other files (path -> text) does not go with `configuration`."""
    found: list[Conflict] = []
    for path, text in files.items():
        lines = list(enumerate(text.splitlines(), start=1))
        for number, line in lines:
            why, is_fatal = _why_conflict(line)
            if why:
                found.append(Conflict(place=f"{path}:{number}", text=line.strip(), why=why, is_fatal=is_fatal))
        found.extend(_open_listeners(path, lines))
    return found


def _why_conflict(line: str) -> tuple[str, bool]:
    word, _, value = line.strip().partition(" ")
    if word in ONCE:
        both = f"fenced.conf sets {word}, too: Mosquitto uses the last one, or does not start"
        return f"{both}; remove this line, or merge the two files by hand", True
    if re.fullmatch(rf"listener\s+{PORT}(\s.*)?", line.strip()):
        return f"port {PORT} is taken by this listener; remove it, or merge the two files by hand", True
    if word == "per_listener_settings" and value.strip() == "true":
        return "accounts and access lists then apply to one listener each; set it to false", False
    if word in {"plugin", "auth_plugin"}:
        return "a plugin may let in clients that the accounts of fenced.passwd do not; check what it does", False
    return "", False


def _open_listeners(path: Path, lines: list[tuple[int, str]]) -> list[Conflict]:
    """Return the listeners on which an account may take any client id, the daemon's included."""
    found: list[Conflict] = []
    listener: tuple[int, str] | None = None
    is_bound = True
    for number, line in [*lines, (0, "listener end")]:
        words = line.split()
        if words[:1] == ["listener"]:
            if listener is not None and not is_bound:
                why = "any account can take the daemon's client id here: add `use_username_as_clientid true` below it"
                found.append(Conflict(place=f"{path}:{listener[0]}", text=listener[1].strip(), why=why, is_fatal=False))
            listener, is_bound = (number, line), False
        elif words == ["use_username_as_clientid", "true"]:
            is_bound = True
    return found
