"""Two controllers in the lab, as docs/lab.md runs them: one is killed in the middle of a fence, and gets it back."""

import re
import shutil
from pathlib import Path

import pytest

from tests.lab.test_story import options_of, started, told
from tests.needs import needs
from tests.pages.registry import shell

PARTS = [
    r"demo: node-1 fenced in",
    r"two controllers: fenced-a acts, fenced-b follows",
    r"fenced-a +active +yes +main \(epoch 1,",
    r"fenced-b +standby +yes",
    r"fenced-a killed with kill -9, in the middle of the fence",
    r"fenced-b took over from fenced-a after \d+\.\d s, with epoch 2",
    r"announced FENCED on the bus: token \d+-\d+, device_verified",
    r"oracle: the old run's last sign of life came",
    r"fenced-a +offline",
    r"fenced-b +active +yes +main \(epoch 2,",
    r"fenced-a is started again",
    r"fencectl hand-over --to fenced-a",
    r"fenced-a holds it, epoch 3",
    r"fenced-a +active +yes +main \(epoch 3,",
    r"fenced-b +standby +yes",
    r"takeover: fenced-b took over \d+\.\d s after fenced-a was killed, and node-1 was fenced after \d+\.\d s",
]


@pytest.mark.timeout(240)
@needs("postgres", "mosquitto")
async def test_a_standby_finishes_the_fence_of_a_killed_controller_and_hands_back(tmp_path: Path) -> None:
    (block,) = shell("two controllers in the lab", __name__)
    folder = tmp_path / "lab"
    process = await started(*options_of(block), "--kill", "node-1", "--state-dir", str(folder), "--for", "220s")
    story = "\n".join(await told(process))
    assert process.returncode == 0, story
    assert re.search(".*".join(PARTS), story, re.DOTALL), story
    assert not running_in(folder), "a process of the lab is left"
    shutil.rmtree(folder)


def running_in(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words.replace("\0", " "))
    return found
