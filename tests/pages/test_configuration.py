"""Every block of configuration, rules and payloads on the pages is one that the program accepts, with nothing else."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner

from fenced.beat.fenced_beat import Order
from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.cli.fencectl import profiles
from fenced.cli.main import main as fenced
from fenced.config.agent_files import load_proxy
from fenced.config.durations import parse_duration
from fenced.config.load import load
from fenced.core.heard.messages import HealthStatus
from fenced.drivers.catalogue import DriverCatalogue
from fenced.model.names import HostName
from fenced.ports.health import health
from fenced.proxy import protocol as wire
from fenced.proxy.look_protocol import LookAnswer, LookRequest
from tests.config.files import OWN_MACHINE, certificates, resolve, told, write
from tests.house.tree import ROOT, name
from tests.needs import needs
from tests.pages.blocks import Block, all_blocks, pages
from tests.setup.parts import FIRST

HOST: Final = '[[host]]\nname = "node-1"\naddress = "10.0.0.1"\n'
MAIN: Final = '[daemon]\nname = "fenced-a"\nstate_dir = "state"\n[bus]\nurl = "mqtt://127.0.0.1:1883"\n'
PROXY: Final = '[proxy]\nname = "px1"\nlisten = "127.0.0.1:8471"\n'
PROFILES: Final = ('default = "', "[profile.")
"""How a file of profiles of `fencectl` begins."""
METRIC: Final = re.compile(r"\bfenced_\w+")
SELECTOR: Final = re.compile(r'(fenced_\w+)\{(\w+)[!=~]+"')
FILE: Final = re.compile(r"/etc/fenced/[\w./-]*\w")
CONFIGURATION: Final = re.compile(r"^```toml\n.*?^```$", re.MULTILINE | re.DOTALL)
BY_HAND: Final = {
    "/etc/fenced/proxy-tls",
    "/etc/fenced/authority/controller-fenced-b.crt",
    "/etc/fenced/authority/controller-fenced-b.key",
}
"""Made by commands of the pages."""
RULE: Final = {"alert", "expr", "for", "labels", "annotations"}


def _of(language: str) -> list[Block]:
    return [block for block in all_blocks() if block.language == language]


def _place(block: Block) -> str:
    return block.place


def _is_proxys(text: str) -> bool:
    return bool(re.search(r"^\[(?:proxy|credentials|look)\b|^# in \[proxy\]", text, re.MULTILINE))


def _whole(text: str) -> str:
    """Return a file around a fragment: what every file needs, and the table to which the fragment belongs."""
    if _is_proxys(text):
        return text if re.search(r"^\[proxy\]", text, re.MULTILINE) else PROXY + text
    if text.startswith("[[host.device]]"):
        text = HOST + text
    is_inventory = text.startswith("[[")
    return f"{MAIN}{text}" if is_inventory else f"{MAIN}{text}\n{HOST}"


def _files(table: Any) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of the files that a configuration names."""
    if isinstance(table, list):
        for each in table:
            yield from _files(each)
    if isinstance(table, dict):
        for key, value in table.items():
            if isinstance(value, str) and key.endswith("_file"):
                yield key, value
            yield from _files(value)


def _written(directory: Path, block: Block) -> Path:
    text = _whole(block.text).replace('"/etc/', f'"{directory}/etc/').replace("9c:56:...", ":".join(["9c"] * 32))
    table = tomllib.loads(text)
    for key, path in _files(table):
        kind = {"ca_file": "ca", "cert_file": "cert", "key_file": "key"}.get(re.sub(r"^(?:tls|client)_", "", key), "")
        secret = "viewer:a-long-secret-of-an-api-token\n" if key == "tokens_file" else "a long secret\n"
        write(directory, path, certificates()[kind].decode() if kind else secret)
    for folder in table.get("proxy", {}).get("file_dirs", []):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return write(directory, "file.toml", text)


@needs("fence_apc_snmp")
@pytest.mark.parametrize("block", _of("toml"), ids=_place)
def test_configuration_is_accepted(tmp_path: Path, block: Block) -> None:
    if block.text.startswith(PROFILES):
        assert profiles.read(write(tmp_path, "config.toml", block.text)).places, block.place
        return
    file = _written(tmp_path, block)
    if _is_proxys(block.text):
        errors = load_proxy(file, own_machine=OWN_MACHINE, environ={}).errors
    else:
        catalogue = DriverCatalogue()
        errors = load(file, own_machine=OWN_MACHINE, environ={}, catalogue=catalogue, resolve=resolve).errors
    assert told(errors) == told(()), block.place


@pytest.mark.parametrize(("old", "new"), [('driver = "ipmi"', 'driver = "impi"'), ('cipher = "17"', 'cypher = "17"')])
def test_wrong_configuration_is_found_out(tmp_path: Path, old: str, new: str) -> None:
    (block,) = [block for block in _of("toml") if block.page == "docs/ipmi.md"]
    assert old in block.text
    wrong = Block(page="", heading="", line=0, language="toml", text=block.text.replace(old, new))
    file = _written(tmp_path, wrong)
    loaded = load(file, own_machine=OWN_MACHINE, environ={}, catalogue=DriverCatalogue(), resolve=resolve)
    assert len(loaded.errors) == 1


def _rules() -> Iterator[tuple[str, dict[str, Any]]]:
    (group,) = yaml.safe_load((ROOT / "config/prometheus/fenced.rules.yml").read_text(encoding="utf-8"))["groups"]
    yield from ((rule["alert"], rule) for rule in group["rules"])


def _labels() -> dict[str, str]:
    """Return metric -> the cell of its labels in the table, which another test compares with the code."""
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(fenced_\w+)`[^|]*\| [\w-]+ \|([^|]*)\|", page, re.MULTILINE))


def test_alert_rules_ask_for_figures_that_there_are() -> None:
    known = _labels()
    found = list(_rules())
    assert len(found) > 10
    for place, rule in found:
        assert set(rule) <= RULE and rule["alert"] and rule["expr"], place
        assert rule["expr"].count("(") == rule["expr"].count(")"), place
        parse_duration(rule.get("for", "1s"))
        named = {re.sub(r"_bucket$", "", name) for name in METRIC.findall(rule["expr"])}
        assert named and named <= known.keys(), place
        for metric, label in SELECTOR.findall(rule["expr"]):
            assert f"`{label}`" in known[metric], f"{place}: {metric} has no label {label}"


def test_prometheus_is_told_where_the_figures_are() -> None:
    (config,) = [yaml.safe_load(block.text) for block in _of("yaml") if "scrape_configs" in block.text]
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8470"]}]


def test_files_of_production_are_those_that_setup_makes(tmp_path: Path) -> None:
    (tmp_path / "etc/mosquitto/conf.d").mkdir(parents=True)
    done = CliRunner().invoke(fenced, ["setup", "--root", str(tmp_path), *FIRST])
    assert done.exit_code == 0, done.output
    made = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*")} | BY_HAND
    named = {
        f"{name(path)}: {file}"
        for path in pages()
        for file in FILE.findall(CONFIGURATION.sub("", path.read_text(encoding="utf-8")))
        if file not in made
    }
    assert named == set()


def test_payloads_are_read() -> None:
    beat, evidence, order, request, look, seen = _of("json")
    assert Order(order.text.encode()).do == "shutdown"
    assert wire.read(LookAnswer, seen.text.encode()).seen(wire.read(LookRequest, look.text.encode())) is not None
    read = health(beat.text.encode(), host=HostName("node-1"), received=1.0)
    assert (read.status, read.boot, read.unread) == (HealthStatus.OK, "uuid", ())
    said = messages.evidence(
        evidence.text.encode(), host=HostName("node-1"), source="ovirt", received=1.0, is_retained=False
    )  # fmt: skip
    assert (said.evidence_kind, said.is_alive, said.ttl_seconds) == ("maintenance", True, 60.0)
    asked = messages.request(
        request.text.encode(), host=HostName("node-1"), received=1.0, is_retained=False, topics=Topics(site="site-1"),
        reply_topic=None, correlation=None,
    )  # fmt: skip
    assert json.loads(request.text)["id"] == asked.id
