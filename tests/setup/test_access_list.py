"""The access list that setup writes: what a host may, which the daemon alone may, and nothing more."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from tests.setup.parts import FIRST


def test_a_host_writes_for_itself_and_reads_its_own_orders(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST, "--source", "storage", "--reader", "recovery")
    lines = (root / "etc/mosquitto/fenced.acl").read_text().splitlines()
    prefix = "fenced/v1/site-1"
    assert [line for line in lines if line.startswith("pattern")] == [
        f"pattern write {prefix}/health/%u", f"pattern write {prefix}/presence/%u",
        f"pattern write {prefix}/evidence/%u/beat", f"pattern read {prefix}/command/%u",
    ]  # fmt: skip


def test_the_daemon_alone_writes_orders(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST, "--source", "storage", "--reader", "recovery")
    text = (root / "etc/mosquitto/fenced.acl").read_text()
    blocks = text.split("\nuser ")
    assert [block.split()[0] for block in blocks[1:] if "/command/+" in block] == ["controller-fenced-a"]
    assert text.count("/command/") == 2
