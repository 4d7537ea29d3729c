"""Independent counterparts: OpenIPMI's ipmi_sim and OpenStack's sushy-emulator, as processes on loopback."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, Driver
from tests.drivers.certificate import make_certificate
from tests.needs import find
from tests.net import free_port, until

SUSHY_SECONDS = 2
SUSHY = f"""
import random, sys
from sushy_tools.emulator.main import main
random.randint = lambda low, high: {SUSHY_SECONDS}
sys.argv[0] = "sushy-emulator"
main()
"""
USERNAME, PASSWORD = "admin", "s3cret!pw"
SYSTEM = "00000000-0000-0000-0000-000000000001"


@contextmanager
def process(*arguments: str, cwd: Path) -> Iterator[int]:
    """Run a process within the context; yield its pid."""
    running = subprocess.Popen(
        arguments, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()


@contextmanager
def ipmi_sim(directory: Path, port: int) -> Iterator[int]:
    """Run a BMC over UDP and yield its pid; its chassis is on while the file DIRECTORY/on exists.

    Each request to shut down adds a line to DIRECTORY/asked, and changes nothing.
    """
    (directory / "on").touch()
    chassis = directory / "chassis.sh"
    chassis.write_text(f"""#!/bin/sh
shift
case "$1 $2 $3" in
"get power "*) [ -e {directory}/on ] && echo power:1 || echo power:0;;
"set power 1") touch {directory}/on;;
"set power 0") rm -f {directory}/on;;
"set shutdown "*) echo "$3" >>{directory}/asked;;
esac
exit 0
""")
    chassis.chmod(0o755)
    (directory / "lan.conf").write_text(f"""name "host1"
set_working_mc 0x20
user 2 true "{USERNAME}" "{PASSWORD}" admin 10 none md2 md5 straight
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_admin none md2 md5 straight
  guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{chassis} host1"
""")
    (directory / "host1.emu").write_text(
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
        "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n"
    )
    (directory / "state").mkdir()
    program = find("ipmi_sim")
    assert program is not None
    with process(program, "-c", "lan.conf", "-f", "host1.emu", "-s", "state", "-n", cwd=directory) as pid:
        yield pid


@contextmanager
def sushy(directory: Path, port: int) -> Iterator[Path]:
    """Run a Redfish service over TLS with basic authentication and one system; yield its certificate.

    A change of power shows a second or two later; by itself it takes 1 to 11 s, to be slow on purpose."""
    certificate, key, _fingerprint = make_certificate(directory)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"{USERNAME}:{hashed}\n")
    (directory / "state").mkdir()
    (directory / "emulator.conf").write_text(f"""
SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_SSL_CERT = {str(certificate)!r}
SUSHY_EMULATOR_SSL_KEY = {str(key)!r}
SUSHY_EMULATOR_AUTH_FILE = {str(directory / "htpasswd")!r}
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_STATE_DIR = {str(directory / "state")!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{'uuid': {SYSTEM!r}, 'name': 'node1', 'power_state': 'On', 'external_notifier': False, 'nics': []}}]
""")
    with process(sys.executable, "-c", SUSHY, "--config", str(directory / "emulator.conf"), cwd=directory):
        yield certificate


def udp_port() -> int:
    """Return a free UDP port for a BMC."""
    return free_port(socket.SOCK_DGRAM)


async def until_on(driver: Driver, spec: DeviceSpec) -> None:
    """Wait until a counterpart that has just started reports ON."""

    async def is_on() -> bool:
        try:
            return await driver.read(spec, timeout_seconds=3) is Power.ON
        except DeviceError:
            return False

    await until(is_on, what=f"{spec.driver} reads ON")
