"""Thousands of hosts load in seconds, and a host stays small (design.md#speed-and-size: 6 KiB each in all)."""

import gc
import subprocess
import sys
import time
import tomllib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.files import load_ok, write
from tests.config.pieces import BMC, host, pdu

CLUSTERS = 50
TIMES_PARSING_MAX = 20
"""It takes about four; a check that compares all pairs of hosts takes hundreds."""
TRIES = 2


def fleet(count: int) -> str:
    clusters = "".join(f'[[cluster]]\nname = "c{number}"\n' for number in range(CLUSTERS))
    return clusters + "".join(
        host(
            f"node-{number}",
            BMC.format(ip=f"10.9.{number // 256}.{number % 256}") + 'username = "fence"\npassword_file = "secret"\n',
            pdu(ip=f"10.8.{number // 40}.1", plug=str(number % 40), more="level = 2\n"),
            more=f'cluster = "c{number % CLUSTERS}"\naddress = "10.0.{number // 256}.{number % 256}"\n'
            f'aliases = ["node-{number}.example.org"]\nrack = "rack-{number % 100}"',
        )
        for number in range(count)
    )


def test_thousands_of_hosts_load_in_a_few_times_what_reading_the_file_takes(tmp_path: Path) -> None:
    write(tmp_path, "secret", "x\n")
    text = fleet(1_000)

    def seconds(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    for _ in range(TRIES):
        loaded, parsed = seconds(lambda: load_ok(tmp_path, text)), seconds(lambda: tomllib.loads(text))
        if loaded < TIMES_PARSING_MAX * parsed:
            return
    pytest.fail(f"{loaded:.1f} s beside {parsed:.1f} s of reading the TOML alone")


def bytes_per_host(folder: Path) -> float:
    """Return the memory of a loaded configuration per host."""
    count = 400
    write(folder, "secret", "x\n")
    load_ok(folder, fleet(1))
    text = fleet(count)
    tracemalloc.start()
    configuration = load_ok(folder, text)
    gc.collect()  # garbage of the loading is not part of a host's size
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(configuration.inventory.hosts) == count
    return size / count


def test_a_host_takes_less_than_two_kibibytes(tmp_path: Path) -> None:
    """Measured in a separate interpreter, because objects of other tests would be counted."""
    asked = "import sys, pathlib, tests.config.test_scale as s; print(s.bytes_per_host(pathlib.Path(sys.argv[1])))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 2048
