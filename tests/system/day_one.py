"""`python -m tests.system.day_one`: how long the first day takes, from a bare Debian to an armed rack of ten.

It follows docs/first-install.md, then docs/arming.md without its weeks, in a real systemd, and prints the commands that
a person types and the seconds that the machine needs for them. Packages are there already, so what their download takes
is not in it. One machine plays all: the heartbeat of node-1 is its unit, those of the others are transient units over
the files of their archives. Two outlets of each host are files.
"""

import tempfile
import time
from pathlib import Path
from typing import Final

from tests.pages.blocks import all_blocks
from tests.pages.commands import typed
from tests.system.machine import Machine, machine, program
from tests.system.production import SHIMS, until, until_state

PAGE: Final = "docs/first-install.md"
ARMING: Final = "docs/arming.md"
HOSTS: Final = tuple(f"node-{number}" for number in range(1, 11))
SETUP: Final = "fenced setup --broker bus.example.org " + " ".join(f"--host {host}" for host in HOSTS)
STRUCK: Final = "node-7"
FENCED_SECONDS: Final = 240.0


def steps(heading: str, block: int = 0, *, page: str = PAGE) -> list[str]:
    """Return the commands of a block of a page, one a line."""
    blocks = [each.text for each in all_blocks() if (each.page, each.heading, each.language) == (page, heading, "sh")]
    return [line for _, line in typed(blocks[block]) if line.strip() and not line.startswith("#")]


def first_host() -> list[str]:
    """Return what a person types until the first host is watched: one package, the set-up, one archive."""
    return [
        *steps("1. Install"), *steps("2. Set up"), *steps("2. Set up", 1), *steps("3. Heartbeats"),
        *steps("3. Heartbeats", 1),
    ]  # fmt: skip


def arming() -> list[str]:
    """Return what a person types to arm the cluster of all ten."""
    parts = [("1. Watch", 0), ("2. Arm for operators", 0), ("2. Arm for operators", 1)]
    parts += [("3. The first cluster", 0), ("3. The first cluster", 1)]
    return [line for heading, block in parts for line in steps(heading, block, page=ARMING)]


def rack() -> list[str]:
    """Return what a person types, as the page stands, until ten hosts are armed; the edit is not a command."""
    archives = [line.replace("node-1", host) for host in HOSTS for line in steps("3. Heartbeats")]
    check, reload, _ = steps("4. Power devices")
    probes = [f"fencectl probe {host}" for host in HOSTS]
    return [
        *steps("1. Install"), SETUP, *steps("2. Set up", 1), *archives, *steps("3. Heartbeats", 1),
        check, reload, *probes, *arming(),
    ]  # fmt: skip


def inventory() -> str:
    """Return the inventory that a person writes: two feeds for each host."""
    return '[[cluster]]\nname = "c1"\n' + "".join(
        f'[[host]]\nname = "{host}"\ncluster = "c1"\n'
        + "".join(
            f'[[host.device]]\nname = "{feed}"\ndriver = "fence_dummy"\ncuts_power = true\n'
            f'options = {{ status_file = "/var/lib/fenced/{host}-{feed}" }}\n'
            for feed in ("pdu-a", "pdu-b")
        )
        for host in HOSTS
    )


class Clock:
    """Prints what each part took."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def lap(self, what: str) -> None:
        now = time.monotonic()
        print(f"{now - self._last:7.1f} s  {what}", flush=True)
        self._last = now

    def total(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  TOTAL: {what}", flush=True)


def play(bed: Machine) -> None:
    clock = Clock()
    bed.run(SETUP)
    clock.lap(f"fenced setup, {len(HOSTS)} hosts")
    for line in steps("2. Set up", 1):
        bed.run(line)
    clock.lap("daemon and broker started")
    for line in [*steps("3. Heartbeats"), *steps("3. Heartbeats", 1)]:
        bed.run(line)
    until_state(bed, "node-1", "healthy")
    clock.lap("archive of node-1 installed; heard")
    clock.total(f"the first watched host: {len(first_host())} commands with the package")
    for host in HOSTS[1:]:
        bed.run(f"cd /srv; tar xf /etc/fenced/bundles/{host}.tar.gz; chmod -R a+rX {host}")
        bed.run(f"systemd-run --quiet --unit beat-{host} fenced-beat -c /srv/{host}/beat.toml")
    for host in HOSTS:
        until_state(bed, host, "healthy")
    clock.lap(f"the other {len(HOSTS) - 1} archives; all heard")
    feeds = " ".join(f"{host}-{feed}" for host in HOSTS for feed in ("pdu-a", "pdu-b"))
    bed.run(f"cd /var/lib/fenced; printf on | tee {feeds} > /dev/null; chown fenced: {feeds}")
    bed.run(f"cat > /etc/fenced/inventory/hosts.toml <<'END'\n{inventory()}END")
    check, reload, _ = steps("4. Power devices")
    bed.run(f"{check}; {reload}")
    for host in HOSTS:
        bed.run(f"fencectl probe {host}")
    clock.lap("devices checked, loaded, each path read")
    for line in arming():
        bed.tried(line, is_checked="readiness" not in line)  # which ends with 1: a week is not over
    clock.lap("armed in stages, node-2 fenced by hand on the way")
    clock.total(f"an armed rack of {len(HOSTS)}: {len(rack())} commands, 1 edited file")
    bed.run(f"systemctl kill --signal KILL beat-{STRUCK}")
    fenced = f"journalctl -o cat FENCED_EVENT=host_fenced FENCED_HOST={STRUCK}"
    until(bed, lambda: STRUCK in bed.tried(fenced).stdout, seconds=FENCED_SECONDS)
    clock.lap(f"{STRUCK} died and was fenced (grace, startup_quiet)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder)) as bed:
        bed.prepare(SHIMS)
        bed.prepare(program("fenced", "fenced.cli.main"))
        bed.prepare(program("fencectl", "fenced.cli.fencectl"))
        bed.boot()
        bed.run("echo 127.0.0.1 bus.example.org >> /etc/hosts")
        play(bed)


if __name__ == "__main__":
    main()
