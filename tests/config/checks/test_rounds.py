"""`[check]`: the keys arrive, and an interval that is too short for a round is a warning with the time needed."""

from pathlib import Path

import pytest

from fenced.config.load import Loaded
from tests.config.files import CLUSTERS, load_files, load_ok
from tests.config.pieces import host, pdu


def fleet(outlets: int) -> str:
    """Return hosts that are all fed by one power unit."""
    return CLUSTERS + "".join(host(f"h{n}", pdu("a", plug=str(n))) for n in range(1, outlets + 1))


def warned(loaded: Loaded) -> list[str]:
    return [warning.reason for warning in loaded.warnings if warning.path == "check.interval"]


def test_the_keys_arrive(tmp_path: Path) -> None:
    text = '[check]\ninterval = "1h"\nper_unit_pause = "2s"\n' + fleet(1)
    check = load_ok(tmp_path, text).inventory.daemon.check
    assert (check.interval_seconds, check.per_unit_pause_seconds) == (3600.0, 2.0)


def test_it_is_off_by_default(tmp_path: Path) -> None:
    assert load_ok(tmp_path, fleet(1)).inventory.daemon.check.interval_seconds == 0.0


@pytest.mark.parametrize(("interval", "is_short"), [("19s", True), ("20s", False), ("0s", False)])
def test_a_round_takes_its_time(tmp_path: Path, interval: str, is_short: bool) -> None:
    loaded = load_files(tmp_path, f'[check]\ninterval = "{interval}"\n' + fleet(4))
    assert not loaded.errors
    told = warned(loaded)
    assert bool(told) is is_short
    if is_short:
        assert "takes 20s" in told[0] and "4 paths" in told[0]
