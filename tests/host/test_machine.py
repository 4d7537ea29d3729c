"""The names and addresses of this machine, and the steady clock."""

import json
import subprocess
import time
import uuid
from functools import partial

import pytest

from fenced.host.machine import SteadyClock, anchor, boot_id, boottime, own_machine, steady_start
from fenced.model.addresses import is_loopback
from fenced.ports.journal import ClockAnchor
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


@pytest.mark.parametrize("wall_now", [0.0, 1e9, 2e9])
def test_a_store_with_a_clock_of_its_own_says_how_late_it_is(wall_now: float) -> None:
    """Whatever the new machine's wall clock says: a command's last moment must not seem to have passed."""
    kept = ClockAnchor(boot_id="another", boottime=5.0, steady=1e9)
    start = partial(steady_start, wall_now=wall_now, boot="this", boottime_now=1.0, kept=kept)
    assert start(last_at=1e9 + 3.0, steady_at=1e9 + 20.0) == 1e9 + 20.0
    assert start(last_at=1e9 + 30.0, steady_at=1e9 + 20.0) == 1e9 + 30.0, "the newest record is not in the future"


def test_in_the_same_boot_the_machines_own_clock_counts() -> None:
    kept = ClockAnchor(boot_id="this", boottime=5.0, steady=1e9)
    found = steady_start(wall_now=3e9, boot="this", boottime_now=15.0, kept=kept, last_at=1e9, steady_at=1e9 + 500.0)
    assert found == 1e9 + 10.0
