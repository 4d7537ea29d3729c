"""Two controllers, two proxies, a broker and two databases in network namespaces, with a fault while fences are at
every point. `make soak` plays the faults that take longer, and each pair of fault and point alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.play import play
from tests.cluster.points import Point
from tests.needs import needs, needs_root

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(400),
    needs_root(),
    needs("ip", "mosquitto", "nsenter", "postgres", "setpriv"),
]

CHOSEN: Final = ("killed", "frozen", "promoted without the end", "handed over")
"""One of each kind: the active is gone, comes back too late, works with a store that lost its end, gives over."""


@pytest.mark.parametrize("fault", CHOSEN)
async def test_fences_at_every_point_survive(
    fault: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    outcome = await play(tmp_path, fault, tuple(Point))
    assert not outcome.breaches
    assert len(outcome.evidence.commands) >= len(Point)
    record_property("gaps", str(outcome.gaps))
