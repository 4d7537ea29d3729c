"""Free memory returns to the system, and memory in use stays."""

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
