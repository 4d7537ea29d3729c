"""fencectl at a standby: what only restricts needs no controller that acts."""

import pytest

from tests.api.ctl import ctl
from tests.api.installation import installation
from tests.net import free_port


@pytest.mark.parametrize(
    "words",
    [
        ("disarm", "--reason", "night"),
        ("pause", "--reason", "night", "--match", "cluster=c1"),
        ("maintenance", "node-1", "on", "--reason", "night"),
    ],
    ids=lambda words: words[0],
)
async def test_what_only_restricts_needs_no_controller_that_acts(words: tuple[str, ...]) -> None:
    """The active one is gone, and the standby still names it."""
    async with installation() as two:
        two.b.control.follow(f"http://127.0.0.1:{free_port()}")
        two.b.control.accepts_words = True
        run = await ctl(two.b.url, *words)
        assert run.code == 0, run
        assert [status for _, status in two.b.changes] in ([200], [201])
        lifted = await ctl(two.b.url, "arm", "--yes")
    assert lifted.code == 4
