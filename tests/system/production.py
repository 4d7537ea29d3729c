"""An installation of docs/first-install.md in a machine: what its tests share."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from fenced.setup.accounts import Accounts
from tests.system.machine import Machine

WAIT_SECONDS = 60.0
DUMMY = """
[[cluster]]
name = "c1"
"""
for _host in ("node-1", "node-2"):
    DUMMY += f"""
[[host]]
name = "{_host}"
cluster = "c1"
  [[host.device]]
  name = "dummy"
  driver = "fence_dummy"
  cuts_power = true
  options = {{ status_file = "/var/lib/fenced/{_host}" }}
"""
"""Both hosts with an outlet that is a file."""
ARM = "sed -i 's/^armed = {before}/armed = {after}/' /etc/fenced/fenced.toml; systemctl reload fenced"
"""The page's last step, and back."""
UNTIL_CTRL_C = (
    'fencectl() { if [ "$1" = watch ]; then timeout --signal INT 1 fencectl watch; else command fencectl "$@"; fi; }; '
)
"""A reader ends `fencectl watch`."""
DRILL = 'fencectl drill spare-1 --reason "monthly drill" --yes --wait'
"""Refused: this fleet has no spare host. The tests of drills run one."""
PIP = (
    'printf \'#!/bin/sh\\n[ "$*" = "install --upgrade --constraint constraints.txt ." ]\\n\' > /opt/fenced/bin/pip;'
    "chmod 755 /opt/fenced/bin/pip"
)
"""Only checks how it is called, because the machine has no network."""
COPIED = "cd /srv/copied; cp /srv/fenced-ca/{ca.crt,fenced-a.*,px1.*} ."
"""What docs/proxies.md says to copy to both machines."""
SHIMS = (
    "printf '#!/bin/sh\\nshift; cd /srv; exec bash -ec \"$*\"\\n' > /usr/local/bin/ssh\n"
    "printf '#!/bin/sh\\nexec cp \"$1\" /srv/\\n' > /usr/local/bin/scp\n"
    "chmod 755 /usr/local/bin/ssh /usr/local/bin/scp\n"
)
"""One machine plays all machines of a page."""
OPERATOR = "alice"
"""A member of the group `fenced`."""
CHECKED = "fenced check-config /etc/fenced/fenced.toml --user fenced"
SERVED = {
    "/etc/fenced/secrets/bus": "fenced",
    "/etc/fenced/tls/controller.key": "fenced",
    "/etc/mosquitto/certs/fenced-broker.key": "mosquitto",
}
"""Secrets, and who reads them."""
DAEMONS_SECRETS = ("/etc/fenced/secrets/bmc", "/etc/fenced/secrets/bus", "/etc/fenced/tls/controller.key")
SECRETS = "/etc/fenced /etc/fenced-beat /etc/fenced-proxy /etc/mosquitto /var/lib/fenced /var/lib/fenced-proxy"
"""Folders of secrets."""
POSTGRES = """
cluster=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
mkdir -p /run/postgresql /srv/pg; chown postgres: /run/postgresql /srv/pg
runuser -u postgres -- $cluster/initdb -D /srv/pg/data -A trust -E UTF8 --locale C --no-sync > /dev/null
cp /srv/fenced-ca/{db.crt,db.key} /srv/pg/data; chown postgres: /srv/pg/data/db.*
runuser -u postgres -- $cluster/pg_ctl -D /srv/pg/data -w -l /srv/pg/log -o '-c fsync=off -c ssl=on \
    -c ssl_cert_file=db.crt -c ssl_key_file=db.key -c listen_addresses=127.0.0.1' start > /dev/null
echo 127.0.0.1 db.example.org >> /etc/hosts
install -o fenced -m 600 /dev/null /etc/fenced/store.password; echo secret > /etc/fenced/store.password
install -m 644 /srv/fenced-ca/ca.crt /etc/fenced/tls/db-ca.crt
"""
"""A server as the page has it, with a certificate from the authority of docs/proxies.md. It believes every login."""


def asked(bed: Machine, route: str) -> Any:
    """Return an answer of the daemon's API. `curl` starts ten times as fast as `fencectl`."""
    return json.loads(bed.run(f"curl --silent --unix-socket /run/fenced/api.sock http://localhost{route}"))


def states(bed: Machine) -> dict[str, str]:
    return {host["name"]: host["state"] for host in asked(bed, "/api/v1/hosts")["items"]}


def until(bed: Machine, is_so: Callable[[], bool], *, seconds: float = WAIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, bed.run("fencectl hosts; systemctl status 'fenced*'; journalctl -o cat -n 30")
        time.sleep(0.2)


def until_connected(bed: Machine) -> None:
    until(bed, lambda: bool(asked(bed, "/readyz")["daemon"]["bus_connected"]))


def until_state(bed: Machine, host: str, state: str) -> None:
    until(bed, lambda: states(bed)[host] == state)


def until_shown(bed: Machine, text: str, command: str) -> None:
    until(bed, lambda: text in bed.tried(command).stdout)


def readable_secrets(bed: Machine, user: str) -> list[str]:
    """Return the secrets of all services that a user can read."""
    found = bed.run(f"find {SECRETS} -type f -readable 2> /dev/null || true", user=user).split()
    ends = (".key", "password", ".passwd", ".tar.gz", "fenced.db")
    return sorted(path for path in found if path.endswith(ends) or "/secrets/" in path)


def an_operator_reads_no_secret(bed: Machine) -> None:
    """A member of the group `fenced` acts over the socket, and reads none; nor once setup has closed what was open."""
    bed.run(f"useradd --no-create-home --groups fenced {OPERATOR}")
    bed.run("fencectl pause --reason 'may she?' --until 1m; fencectl resume --reason 'she may'", user=OPERATOR)
    bed.run("echo hunter2 > /srv/bmc; install -o fenced -m 400 /srv/bmc /etc/fenced/secrets/")
    assert readable_secrets(bed, OPERATOR) == []
    _closed_again(bed)
    assert readable_secrets(bed, OPERATOR) == []


def _closed_again(bed: Machine) -> None:
    """Open the daemon's secrets to its group, as an earlier version did; let `fenced setup` close them."""
    bed.run(f"chown root:fenced {' '.join(DAEMONS_SECRETS)}; chmod 640 {' '.join(DAEMONS_SECRETS)}")
    assert readable_secrets(bed, OPERATOR) == [*DAEMONS_SECRETS]
    assert "members of the group fenced can read it (and 1 more files)" in bed.run(CHECKED)
    (command,) = re.findall(r"are operators\): run (.*)", bed.run("fenced setup"))
    assert readable_secrets(bed, OPERATOR) == ["/etc/fenced/secrets/bmc"]
    bed.run(f"{command}; systemctl restart fenced")
    assert "members of the group" not in bed.run(CHECKED)
    until_connected(bed)


def retained(topic: str) -> str:
    """Return the command that reads a retained message with a new reader's account."""
    return (
        f"cd /srv/recovery; mosquitto_sub -h 127.0.0.1 -p 8883 --cafile ca.crt --cert client.crt --key client.key "
        f'-u recovery -P "$(cat password)" -t {topic} -W 1 || true'
    )


def fingerprint_of(text: str) -> bytes:
    return bytes.fromhex(text.strip().replace(":", ""))


def crowd_of(clients: int) -> Iterator[str]:
    """Yield the lines of the password file for the crowd; they share a hash, which costs 1,100 times less."""
    line = Accounts(lines={}).with_account("crowd", "crowded").lines["crowd"].partition(":")[2]
    return (f"crowd-{number}:{line}" for number in range(clients))


def as_the_daemon(account: str) -> str:
    """Return the command that logs in with an account, and asks for the daemon's client id."""
    name = "controller-$(hostname)"
    return (
        f"cd /srv/{account}; mosquitto_pub -h 127.0.0.1 -p 8883 --cafile ca.crt --cert beat.crt --key beat.key "
        f'-i {name} -u {account} -P "$(cat password)" -q 1 -t fenced/v1/site-1/presence/{account} -m online'
    )
