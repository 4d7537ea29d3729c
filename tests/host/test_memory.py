"""Free memory returns to the system, and memory in use stays."""

import gc
import weakref
from pathlib import Path

from fenced.host import memory


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_freed_memory_is_given_back() -> None:
    kept: list[bytes] = []
    blocks: list[bytes] = []
    for number in range(200_000):
        (kept if number % 1000 == 0 else blocks).append(bytes(600 + number % 3))
    full = resident_pages()
    blocks.clear()
    memory.give_back()
    assert resident_pages() < full * 0.8
    assert [len(block) for block in kept] == [600 + number % 3 for number in range(0, 200_000, 1000)]


class Knot:
    """An object in a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


def test_a_cycle_that_was_set_aside_is_freed_when_memory_is_given_back() -> None:
    knot = Knot()
    freed: list[bool] = []
    weakref.finalize(knot, freed.append, True)
    memory.set_aside()
    del knot
    gc.collect()
    assert not freed
    memory.give_back()
    assert freed == [True]
