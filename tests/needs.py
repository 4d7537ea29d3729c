"""The programs that tests need. If one is missing the test is skipped and listed; under CI it fails.

Only the table below knows which Debian package has which program. `make test` installs what `python -m tests.needs`
prints, so a test can't need a program that is never installed.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
"""PostgreSQL's programs, the newest first: Debian keeps them out of PATH."""

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", *map(str, SERVERS)])

PACKAGES = {
    "bash": "bash",
    "chromium": "chromium",
    "curl": "curl",
    "dbus-daemon": "dbus",
    "dpkg-deb": "dpkg",
    "fence_apc": "fence-agents",
    "fence_apc_snmp": "fence-agents",
    "fence_dummy": "fence-agents",
    "fence_eaton_snmp": "fence-agents",
    "fence_ipmilan": "fence-agents",
    "fence_redfish": "fence-agents",
    "fence_vmware_rest": "fence-agents",
    "fish": "fish",
    "groff": "groff-base",
    "ip": "iproute2",
    "ipmi_sim": "openipmi",
    "ipmipower": "freeipmi-tools",
    "ipmitool": "ipmitool",
    "lintian": "lintian",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "npm": "npm",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "postgres": "postgresql",
    "prlimit": "util-linux",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "rpm": "rpm",
    "rpmbuild": "rpm",
    "setpriv": "util-linux",
    "snmpd": "snmpd",
    "snmpget": "snmp",
    "snmpsimd": "snmpsim",
    "sqlite3": "sqlite3",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "tinyproxy": "tinyproxy-bin",
    "unshare": "util-linux",
    "zsh": "zsh",
}
"""Program -> the Debian package that has it."""


def find(program: str) -> str | None:
    """Return the program's path; also search the directories that only root's PATH has."""
    assert program in PACKAGES, f"{program}: add it with its Debian package to tests/needs.py"
    return shutil.which(program, path=SEARCHED)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Mark a test or module that runs these programs for real."""
    unknown = sorted(set(programs) - set(PACKAGES))
    assert not unknown, f"{unknown}: add them with their Debian packages to tests/needs.py"
    return pytest.mark.needs(*programs)


def needs_root() -> pytest.MarkDecorator:
    """Mark a test that makes network namespaces."""
    return pytest.mark.needs_root


def missing(programs: Iterable[str]) -> tuple[str, ...]:
    """Return the programs that are not installed."""
    return tuple(program for program in programs if find(program) is None)


@functools.cache
def why_no_namespaces() -> str | None:
    """Return why no network namespace can be made here, or None. Root in a container often may not."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    unshare = find("unshare")
    if unshare is None:
        return None
    tried = subprocess.run([unshare, "--net", "true"], capture_output=True, text=True, timeout=20, check=False)
    if tried.returncode == 0:
        return None
    return f"root may not make network namespaces here: {tried.stderr.strip()}"


def packages_for(programs: Iterable[str]) -> tuple[str, ...]:
    """Return the Debian packages of these programs, each once, by name."""
    return tuple(sorted({PACKAGES[program] for program in programs}))


def main() -> None:
    """Print the packages of programs that are missing here, one a line."""
    sys.stdout.writelines(f"{package}\n" for package in packages_for(missing(PACKAGES)))


if __name__ == "__main__":
    main()
