"""What docs/power-saving.md shows: its commands run against the API, and its table has every rule of the code."""

import ast
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.cli.fencectl.saving import page
from fenced.core.allowed.gates import owner_gates
from fenced.core.allowed.of_daemon import store, warm_up
from fenced.core.allowed.of_host import eligible
from fenced.core.events import Evidence, WakeRequest
from fenced.core.heard.evidence import BUSY, IDLE
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState
from tests.api.conftest import Api, start
from tests.core.saving_desk import SavingDesk
from tests.house.tree import ROOT, tree
from tests.pages.blocks import all_blocks
from tests.pages.registry import shell

PAGE: Final = ROOT / "docs/power-saving.md"
SECONDS_MAX: Final = 60.0
FUNCTIONS: Final = """
fencectl() { "$PYTHON" -m fenced.cli.fencectl "$@"; }
mosquitto_pub() { [ "$1 $3" = "-t -m" ] && printf '%s\\t%s\\n' "$2" "$4" >> published; }
"""


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async for made in start():
        yield made


async def pasted(block: str, folder: Path, api: Api) -> str:
    environment = os.environ | {"FENCED_URL": api.url, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    script = f"cd {folder}\n{FUNCTIONS}\n{block}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS_MAX):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_a_host_is_proven_as_the_page_says(tmp_path: Path, api: Api) -> None:
    api.control.finish_at_once, api.control.wakeable = OperationState.DONE, ["node-2"]
    (block,) = shell("prove sleepers", __name__)
    said = await pasted(block, tmp_path, api)
    assert "c1: saving is not enabled" in said and "node-2 sleeps" in said
    asked = [call[:3] for call in api.control.calls]
    assert asked == [("act", "node-2", Action.SLEEP), ("wake", "c1", 1)]


async def test_a_scheduler_says_what_the_page_says(tmp_path: Path, api: Api) -> None:
    api.control.wakeable = ["node-1", "node-2"]
    for block in shell("a scheduler", __name__):
        await pasted(block, tmp_path, api)
    assert [call[:3] for call in api.control.calls] == [("wake", "c1", 2)]
    topics, host = Topics(site="site-1"), HostName("node-2")
    heard: list[Evidence | WakeRequest] = []
    for line in (tmp_path / "published").read_text().splitlines():
        topic, payload = line.split("\t")
        if topic == topics.cluster_request:
            wake = messages.wake(
                payload.encode(), received=1.0, is_retained=False, topics=topics, reply_topic=None, correlation=None
            )
            heard.append(wake)
            continue
        address = topics.parse(topic)
        assert address is not None and address.host == host
        said = messages.evidence(payload.encode(), host=host, source=address.source, received=1.0, is_retained=False)
        heard.append(said)
    evidence = [(it.evidence_kind, it.is_alive) for it in heard if isinstance(it, Evidence)]
    assert evidence == [(IDLE, True), (BUSY, True), (IDLE, False)]
    (request,) = [it for it in heard if isinstance(it, WakeRequest)]
    assert (request.cluster, request.hosts) == ("c1", 2)


def test_every_rule_that_keeps_a_host_awake_is_in_the_table() -> None:
    desk = SavingDesk()
    name = HostName("node-1")
    gates = (*owner_gates(desk.fleet, desk.now), *eligible(desk.fleet, name, desk.now))
    rules = {verdict.gate for verdict in (*gates, store(desk.fleet), warm_up(desk.fleet, desk.now))}
    calls = [node for node in ast.walk(tree(ROOT / "fenced/core/idle/fit.py")) if isinstance(node, ast.Call)]
    values = [word.value for call in calls for word in call.keywords if word.arg == "rule"]
    rules |= {str(value.value) for value in values if isinstance(value, ast.Constant)}
    text = PAGE.read_text(encoding="utf-8").partition("## What keeps a host awake")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    assert {rule for row in rows for rule in re.findall(r"`(\w+)`", row)} == rules


def test_the_sample_is_what_the_program_prints() -> None:
    (sample,) = [it.text for it in all_blocks() if it.page == "docs/power-saving.md" and it.language == "text"]
    work = [{"rule": "not_idle", "why": f"it reports {count} workloads"} for count in (3, 1, 3, 1)]
    spare = [{"rule": "reserve", "why": "1 other idle hosts would stay on, wanted are 2"}] * 2
    wanted = {"wanted_by": "slurm", "why": "job 4711 needs 1 node"}
    item = {
        "cluster": "c1", "enabled": True, "reserve": 2, "short": 0, "saved_host_hours": 41.5,
        "counts": {"hosts": 8, "on": 6, "idle": 2, "asleep": 2, "coming": 1, "lost": 0},
        "sleepers": [
            {"host": "node-7", "state": "restoring", "since": "2027-01-15T01:00:00.000Z", **wanted},
            {"host": "node-8", "state": "sleeping", "since": "2027-01-15T01:02:00.000Z", "wanted_by": None},
        ],
        "others": [
            {"host": f"node-{number}", "bars": [bar], "operation": None}
            for number, bar in enumerate([*work, *spare], start=1)
        ],
    }  # fmt: skip
    assert sample.splitlines() == list(page([item], width=100))
