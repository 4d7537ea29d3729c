"""What a test needs from the machine. Missing: the test is skipped and the end of the run says so; under CI it fails.

Its one rule: the table below is the only place that knows which Debian package brings which program. `make test`
installs what `python -m tests.needs` prints, so a test cannot need a program that nobody installs.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

import pytest

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

PACKAGES = {
    "dbus-daemon": "dbus",
    "fence_apc": "fence-agents",
    "fence_apc_snmp": "fence-agents",
    "fence_dummy": "fence-agents",
    "fence_eaton_snmp": "fence-agents",
    "fence_ipmilan": "fence-agents",
    "fence_redfish": "fence-agents",
    "fence_vmware_rest": "fence-agents",
    "ip": "iproute2",
    "ipmi_sim": "openipmi",
    "ipmipower": "freeipmi-tools",
    "ipmitool": "ipmitool",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "snmpd": "snmpd",
    "snmpget": "snmp",
    "snmpsimd": "snmpsim",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "tinyproxy": "tinyproxy-bin",
    "unshare": "util-linux",
}
"""Program -> the Debian package that brings it."""


def find(program: str) -> str | None:
    """The program's path, also where only root's PATH looks."""
    assert program in PACKAGES, f"{program}: say in tests/needs.py which Debian package brings it"
    return shutil.which(program, path=SEARCHED)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Marks a test or module that runs these programs for real."""
    unknown = sorted(set(programs) - set(PACKAGES))
    assert not unknown, f"{unknown}: say in tests/needs.py which Debian packages bring them"
    return pytest.mark.needs(*programs)


def needs_root() -> pytest.MarkDecorator:
    """Marks a test that makes network namespaces."""
    return pytest.mark.needs_root


def missing(programs: Iterable[str]) -> tuple[str, ...]:
    """Those of the programs that are not installed."""
    return tuple(program for program in programs if find(program) is None)


@functools.cache
def why_no_namespaces() -> str | None:
    """Why no network namespace can be made here, or None. Root in a container often may not."""
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
    """The Debian packages of these programs, each once, in order of name."""
    return tuple(sorted({PACKAGES[program] for program in programs}))


def main() -> None:
    """Print the packages whose programs are missing here, one a line."""
    sys.stdout.writelines(f"{package}\n" for package in packages_for(missing(PACKAGES)))


if __name__ == "__main__":
    main()
