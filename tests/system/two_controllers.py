"""An installation of docs/first-install.md whose store moves to PostgreSQL, and that gets a second controller.

One machine plays both: the first controller goes on as a unit of its own, from another folder.
"""

import json
import re

from tests.pages.blocks import all_blocks
from tests.system.machine import Machine
from tests.system.production import POSTGRES, states, until

FIRST = "/srv/first"
MOVED = f"""
systemctl stop fenced
mv /etc/fenced {FIRST}; mv /var/lib/fenced {FIRST}-state
sed -i 's|^name = |state_dir = "{FIRST}-state"\\nname = |' {FIRST}/fenced.toml
printf '\\n[api]\\nlisten = "127.0.0.1:8472"\\nsocket = ""\\n' >> {FIRST}/fenced.toml
"""
STARTED = f"systemd-run --quiet --collect --unit first -p User=fenced fenced run -c {FIRST}/fenced.toml"

INSTANCES = f"""
systemctl stop fenced first
sed -E 's#"(secrets|tls|inventory)/#"{FIRST}/\\1/#; s#^(state_dir =).*#\\1 "/var/lib/fenced/east"#
    s#^(socket =).*#\\1 "/run/fenced-east/api.sock"#' {FIRST}/fenced.toml > /etc/fenced/east.toml
sed 's#^name = #state_dir = "/var/lib/fenced/west"\\nname = #' /etc/fenced/fenced.toml > /etc/fenced/west.toml
printf '\\n[api]\\nlisten = "127.0.0.1:8473"\\nsocket = "/run/fenced-west/api.sock"\\n' >> /etc/fenced/west.toml
"""


def to_postgresql(bed: Machine, made: str, promises: str, moved: list[str], taken: str) -> None:
    """Follow docs/postgresql.md; then play a machine that takes over without the first one's `state_dir`."""
    bed.run(f"fenced certs proxy /srv/fenced-ca --name db --address db.example.org; {POSTGRES}")
    before, _ = states(bed), bed.run(made)
    (tables,) = [block.text for block in all_blocks() if "store.password" in block.text and block.language == "toml"]
    bed.run(f"printf '%s' '{tables}' >> /etc/fenced/fenced.toml")
    assert "fsync = off" in bed.tried(promises).stdout
    bed.run("".join(moved))
    assert states(bed).keys() == before.keys()
    bed.run("systemctl kill -s KILL fenced; systemctl stop fenced; mv /var/lib/fenced /srv/gone; sleep 1")
    bed.run(f"install -d -o fenced -g fenced -m 750 /var/lib/fenced; {taken}")
    assert states(bed).keys() == before.keys()


def second_controller(bed: Machine, account: str, packed: str, started: str, seen: str, handed_over: str) -> None:
    """Follow docs/high-availability.md, kill the first controller, and hand control back to it."""
    first = bed.run("hostname").strip()
    bed.run(f"{account}\n{packed}")
    bed.run(f"{MOVED}{STARTED}")
    assert "fenced-b" in bed.run(f"cd /var/backups/fenced-b; {started}")
    until(bed, lambda: _is(bed, first, "active") and _is(bed, "fenced-b", "standby"))
    assert "standby" in bed.run(seen)
    bed.run("systemctl kill -s KILL first")
    until(bed, lambda: _is(bed, "fenced-b", "active"))
    bed.run(STARTED)
    until(bed, lambda: _is(bed, first, "standby"))
    assert f"{first} holds it" in bed.run(handed_over)
    until(bed, lambda: _is(bed, "fenced-b", "standby"))


def two_instances(bed: Machine, started: str) -> None:
    """Go on with both controllers as instances of the template unit; stop the one that acts."""
    bed.run(INSTANCES)
    names = {"east": bed.run("hostname").strip(), "west": "fenced-b"}
    shown = bed.run(started)
    assert all(name in shown for name in names.values())
    until(bed, lambda: sorted(_states(bed, "west").values()) == ["active", "standby"])
    bed.run("systemctl reload fenced@east fenced@west")
    (active,) = (each for each, name in names.items() if _states(bed, each)[name] == "active")
    (standby,) = names.keys() - {active}
    bed.run(f"systemctl stop fenced@{active}")
    until(bed, lambda: _states(bed, standby)[names[standby]] == "active")
    for each in names:
        bed.run(f"test -e /var/lib/fenced/{each}/fenced.seen")
    assert bed.tried(f"test -e /run/fenced-{active}").returncode != 0


def _states(bed: Machine, instance: str) -> dict[str, str]:
    """Return the controllers that an instance shows: name -> state."""
    url = "http://localhost/api/v1/controllers"
    shown = bed.run(f"curl --silent --unix-socket /run/fenced-{instance}/api.sock {url}")
    return {item["name"]: item["state"] for item in json.loads(shown)["items"]}


def _is(bed: Machine, name: str, state: str) -> bool:
    """Return whether `fencectl controllers` shows that controller in that state, and fit."""
    return re.search(rf"^{name} +{state} +yes ", bed.tried("fencectl controllers").stdout, re.MULTILINE) is not None
