"""Each alert fires in its case and is silent in the healthy one beside it, and has a runbook whose commands exist."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.alerts.cases import CASES
from tests.house.tree import ROOT
from tests.needs import find, needs

RULES: Final = ROOT / "config/prometheus/fenced.rules.yml"
RUNBOOKS: Final = ROOT / "docs/runbooks"
SEVERITIES: Final = {"critical", "warning"}
pytestmark = pytest.mark.integration


def rules() -> dict[str, dict[str, Any]]:
    """Return alert -> rule."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def promtool(*arguments: str, cwd: Path) -> str:
    """Run promtool; return what it printed."""
    program = find("promtool")
    assert program is not None
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    return f"status {done.returncode}\n{done.stdout}{done.stderr}"


@needs("promtool")
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    said = promtool("check", "rules", str(RULES), cwd=tmp_path)
    assert said.startswith("status 0")
    assert f"{len(rules())} rules found" in said


@needs("promtool")
def test_each_alert_fires_in_its_case_and_only_there(tmp_path: Path) -> None:
    tests = []
    for name, case in CASES.items():
        for series, is_firing in ((case.fires, True), (case.calm, False)):
            tests.append(
                {
                    "interval": "1m",
                    "name": f"{name}: {'fires' if is_firing else 'is calm'}",
                    "input_series": [{"series": one, "values": values} for one, values in series],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                            "eval_time": f"{case.minutes}m",
                            "exp_samples": [{"labels": "{}", "value": 1 if is_firing else 0}],
                        }
                    ],
                }
            )
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m",
                                                       "tests": tests}))  # fmt: skip
    said = promtool("test", "rules", "test.yml", cwd=tmp_path)
    assert said.startswith("status 0"), said


@needs("promtool")
def test_an_alert_that_cannot_fire_is_found_out(tmp_path: Path) -> None:
    """The test above would be worth nothing otherwise."""
    text = RULES.read_text(encoding="utf-8").replace("fenced_outbox_stuck_hosts > 0", "fenced_outbox_stuck_hosts > 9")
    (tmp_path / "rules.yml").write_text(text)
    case = CASES["FencedHostMute"]
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["rules.yml"],
                "evaluation_interval": "1m",
                "tests": [
                    {
                        "interval": "1m",
                        "input_series": [{"series": one, "values": values} for one, values in case.fires],
                        "alert_rule_test": [
                            {"eval_time": "3m", "alertname": "FencedHostMute", "exp_alerts": [{"exp_labels": {}}]}
                        ],
                    }
                ],
            }
        )
    )
    assert promtool("test", "rules", "test.yml", cwd=tmp_path).startswith("status 1")


def test_every_alert_has_a_case_a_severity_and_a_runbook() -> None:
    found = rules()
    assert set(found) == set(CASES)
    for name, rule in found.items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"]
        page = rule["annotations"]["runbook_url"].rpartition("/")[2].replace(".html", ".md")
        assert page == re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() + ".md"
        text = (RUNBOOKS / page).read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        for heading in ("## Look", "## Do", "## It ends"):
            assert heading in text, page


def test_no_runbook_is_left_without_an_alert() -> None:
    named = {rule["annotations"]["runbook_url"].rpartition("/")[2].replace(".html", ".md") for rule in rules().values()}
    assert {path.name for path in RUNBOOKS.glob("*.md")} == {*named, "README.md"}
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert all(f"({page})" in index for page in named)
