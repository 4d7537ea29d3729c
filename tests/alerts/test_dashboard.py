"""The dashboard and the rules against a real Prometheus that scrapes a real daemon."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml

from tests.alerts.test_rules import RULES, rules
from tests.e2e.agents import dummy
from tests.e2e.bed import bed
from tests.house.tree import ROOT
from tests.needs import find, needs
from tests.net import free_port, until

DASHBOARD: Final = ROOT / "config/grafana/fenced.json"
ANSWERED_MIN: Final = 10
"""So many panels show something of a small daemon without a check, saving, drills, standbys or observers."""
METRIC: Final = re.compile(r"\b(?:fenced|process)_\w+")
pytestmark = [pytest.mark.integration, needs("prometheus", "mosquitto", "fence_dummy"), pytest.mark.timeout(180)]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]  # type: ignore[no-any-return]


def expressions() -> list[str]:
    """Return every expression of the dashboard, as Grafana sends it for all controllers."""
    return [target["expr"].replace("$instance", ".*") for panel in panels() for target in panel["targets"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    client: aiohttp.ClientSession

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the answer. Raises AssertionError with Prometheus' error."""
        async with self.client.post(f"{self.url}/api/v1/query", data={"query": expression}) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]  # type: ignore[no-any-return]

    async def get(self, path: str) -> Any:
        async with self.client.get(f"{self.url}/api/v1/{path}") as response:
            return (await response.json())["data"]


@contextlib.asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Run Debian's Prometheus, which scrapes the target every second and has the rules."""
    folder.mkdir()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "fenced", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    program, port = find("prometheus"), free_port()
    assert program is not None
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage", stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as client:
            found = Prometheus(url=f"http://127.0.0.1:{port}", client=client)

            async def is_scraped() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    targets = (await found.get("targets"))["activeTargets"]
                    return bool(targets) and all(one["health"] == "up" for one in targets)
                return False

            await until(is_scraped, seconds=60, what=lambda: (folder / "log").read_text()[-2000:])
            yield found
    finally:
        process.terminate()
        await process.wait()


async def test_prometheus_has_an_answer_to_every_expression(tmp_path: Path) -> None:
    hosts = {name: [dummy(tmp_path, f"plug-{name}")[1]] for name in ("node-1", "node-2", "node-3")}
    async with bed(tmp_path, hosts) as it:
        it.hosts.kill("node-3")  # its outlet is a file, which stops nothing
        await it.api.act("node-3", "off", force=True)
        await it.story.event("node-3", "operation.finished")
        target = it.api.url.removeprefix("http://")
        async with prometheus(tmp_path / "prometheus", target) as found:
            shown = [bool(await found.query(expression)) for expression in expressions()]
            assert sum(shown) >= ANSWERED_MIN, [*zip(expressions(), shown, strict=True)]
            for rule in rules().values():
                await found.query(rule["expr"])
            assert [one["value"][1] for one in await found.query("sum(fenced_leader)")] == ["1"]
            states = {one["metric"]["state"]: one["value"][1] for one in await found.query("fenced_hosts")}
            assert states["fenced"] == "1"
            exemplars = await found.get("query_exemplars?query=fenced_operation_seconds_bucket&start=0&end=99999999999")
            assert {one["labels"]["operation"] for each in exemplars for one in each["exemplars"]}
            loaded = (await found.get("rules"))["groups"][0]["rules"]
            assert {rule["name"] for rule in loaded} == set(rules())
            assert all(rule["health"] in {"ok", "unknown"} for rule in loaded)


def test_every_figure_of_the_dashboard_is_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.MULTILINE))
    for expression in expressions():
        named = {name.removesuffix("_bucket") for name in METRIC.findall(expression) if name.startswith("fenced_")}
        assert named <= documented, expression


def test_the_dashboard_is_whole() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    places = [panel["gridPos"] for panel in found]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            apart = (
                one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            )  # fmt: skip
            assert apart, (one, other)
