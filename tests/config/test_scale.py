"""Ten thousand hosts load in seconds, and a host stays small (DESIGN section 7: 6 KiB each, all in all)."""

import gc
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

from tests.config.files import load_ok, write
from tests.config.pieces import BMC, host, pdu

CLUSTERS = 50


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


def test_ten_thousand_hosts_load_in_seconds(tmp_path: Path) -> None:
    write(tmp_path, "secret", "x\n")
    text = fleet(10_000)
    started = time.process_time()
    configuration = load_ok(tmp_path, text)
    # About 2 s where nothing else runs; the bound is for a machine that does much else.
    assert time.process_time() - started < 10
    assert len(configuration.inventory.hosts) == 10_000


def bytes_per_host(folder: Path) -> float:
    """What a loaded configuration keeps for each host."""
    count = 1_000
    write(folder, "secret", "x\n")
    load_ok(folder, fleet(1))
    text = fleet(count)
    tracemalloc.start()
    configuration = load_ok(folder, text)
    gc.collect()  # what the loading left behind, and when that is collected, is not the size of a host
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(configuration.inventory.hosts) == count
    return size / count


def test_a_host_takes_less_than_two_kibibytes(tmp_path: Path) -> None:
    """In an interpreter of its own: what other tests left in this one is counted with it."""
    asked = "import sys, pathlib, tests.config.test_scale as s; print(s.bytes_per_host(pathlib.Path(sys.argv[1])))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", asked, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 2048
