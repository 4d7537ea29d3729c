"""The number of workloads, from a file that may be old, wrong or gone."""

import os

import pytest

from fenced.beat.fenced_beat import Workloads
from tests.beat.order_desk import Host


def test_work_keeps_a_host_awake(host: Host) -> None:
    host.write("1")
    assert host.why() == "1 workloads run here"


@pytest.mark.parametrize("text", ["", "none", "-1", "0.0", "1e3", "0 0", "99999999", "1000001", "x" * 100, "\u0660"])
def test_a_file_that_is_no_number_says_nothing(text: str, host: Host) -> None:
    host.write(text)
    assert "nobody says that nothing runs here" in host.why()


def test_an_old_file_says_nothing(host: Host) -> None:
    host.write("0", age=15.1)  # three intervals of 5 s
    assert "more than 3 intervals ago" in host.why()
    host.write("0", age=14.9)
    assert host.why(token="4-119") == ""


def test_a_file_from_the_future_says_nothing(host: Host) -> None:
    host.write("0", age=-2.0)
    assert "in the future" in host.why()


def test_a_wall_clock_that_is_set_back_keeps_no_file_young(host: Host) -> None:
    assert host.workloads.read() == 0
    host.clock.go(15.1)
    host.clock.wall -= 15.1
    with pytest.raises(ValueError, match="more than 3 intervals ago"):
        host.workloads.read()
    host.write("0")
    os.utime(host.file, (host.clock.wall + 0.5,) * 2)
    assert host.workloads.read() == 0, "it was written anew"


def test_a_file_that_is_gone_says_nothing(host: Host) -> None:
    host.file.unlink()
    assert "No such file" in host.why()
    host.file.mkdir()
    assert "not a file" in host.why(token="4-119")


def test_without_a_file_the_option_says_it(host: Host) -> None:
    host.settings.workloads_file = ""
    assert Workloads(host.settings).read() is None
    host.settings.workloads = 3
    assert Workloads(host.settings).read() == 3
