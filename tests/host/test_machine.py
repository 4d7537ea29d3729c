"""The names and addresses of this machine, and the steady clock."""

import json
import subprocess
import time
import uuid

import pytest

from fenced.host.machine import SteadyClock, anchor, boot_id, boottime, own_machine
from fenced.model.addresses import is_loopback
from tests.needs import needs, needs_root
from tests.net import free_port


@needs("ip")
def test_the_addresses_of_all_interfaces_are_found() -> None:
    shown = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, check=True).stdout)
    expected = {
        entry["local"]
        for interface in shown
        for entry in interface["addr_info"]
        if not is_loopback(entry["local"]) and entry["scope"] != "link"
    }
    assert own_machine().addresses == expected


@needs("ip")
@needs_root()
def test_an_address_of_an_interface_that_is_down_is_found() -> None:
    name = f"f{free_port()}"
    if subprocess.run(["ip", "link", "add", name, "type", "veth"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network devices can be made here")
    try:
        subprocess.run(["ip", "addr", "add", "198.18.9.9/32", "dev", name], check=True)
        assert "198.18.9.9" in own_machine().addresses
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def test_names() -> None:
    machine = own_machine()
    hostname = subprocess.run(["hostname"], capture_output=True, check=True, text=True).stdout.strip()
    assert machine.hostname == hostname
    assert hostname in machine.names or is_loopback(hostname)
    assert not any(is_loopback(name) for name in machine.all)


def test_boot_id() -> None:
    assert str(uuid.UUID(boot_id())) == boot_id()


def test_the_steady_clock_counts_from_its_start() -> None:
    clock = SteadyClock(1000.0)
    before = boottime()
    first, second = clock.now(), clock.now()
    assert 1000.0 <= first <= second <= 1000.0 + (boottime() - before) + 1


@pytest.mark.parametrize("years", [-56.0, 0.0, 73.0])
def test_the_steady_clock_knows_how_far_it_is_ahead_of_the_wall_clock(years: float) -> None:
    ahead = years * 365 * 86400.0
    before = boottime()
    measured = SteadyClock(time.time() + ahead).ahead_seconds()
    assert abs(measured - ahead) <= boottime() - before + 1


def test_the_anchor_is_never_before_the_journals_time() -> None:
    wall = time.time()
    assert anchor(wall_now=wall, last_at=None, same_boot_offset=None) == wall
    # The same boot: the journal's time goes on, even if the wall clock was set since.
    assert anchor(wall_now=wall, last_at=wall + 500, same_boot_offset=7.0) == wall + 507
    assert anchor(wall_now=wall, last_at=wall - 500, same_boot_offset=7.0) == wall - 493
    # Another boot: the wall clock applies, but not before the journal's last time.
    assert anchor(wall_now=wall, last_at=wall - 500, same_boot_offset=None) == wall
    assert anchor(wall_now=wall, last_at=wall + 500, same_boot_offset=None) == wall + 500
    assert anchor(wall_now=wall, last_at=wall - 500, same_boot_offset=-3.0) == wall
