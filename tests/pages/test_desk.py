"""What the pages show for a desk: `make`, an installation by pip, imports, and the programs of contributors.

Nothing here needs a network or changes the machine: shell functions stand in for programs that would.
"""

import importlib
import json
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner

from fenced.cli.main import main as fenced
from tests.formal.model import RULES
from tests.house.tree import ROOT
from tests.imports.cibs import BMC, cib, stonith
from tests.imports.test_medik8s import secret, template
from tests.imports.test_ovirt import agent, host
from tests.needs import needs
from tests.pages.blocks import all_blocks
from tests.pages.commands import typed
from tests.pages.registry import shell
from tests.system.day_one import first_host, rack

LOST: Final = 3
"""Exit status of an import that lost something and has written the inventory."""
FIRST_HOST_MAX: Final = 10
RACK_MAX: Final = 61
"""Commands for ten hosts; three of each host are the copy of its archive."""
SECONDS_MAX: Final = 110
DRY_MAKE: Final = 'make() { command make --dry-run --always-make "$@"; }'
WITHOUT_NETWORK: Final = """
apt-get() { [ "$1 $2" = "install --no-install-recommends" ]; }
python3() { [ "$1 $2" = "-m venv" ] && ln -s "$VENV" "$3"; }
export PIP_DRY_RUN=1 PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
"""
"""The virtual environment of the tests is the new one: pip resolves against what is installed there."""
OTHERS: Final = """
cibadmin() { [ "$*" = --query ] && cat source; }
curl() { cat source; }
kubectl() { [ "$1" = get ] && cat "source.$2"; }
"""


def pasted(script: str, folder: Path, functions: str = "") -> str:
    """Run a block in a shell, and return its output. `functions` stand in for programs."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{functions}\n{script}"],
        cwd=folder, env=os.environ | {"VENV": sys.prefix}, capture_output=True, text=True, timeout=SECONDS_MAX,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def called(line: str) -> tuple[int, str]:
    """Run `fenced ...` or `python -m tests...` in this process; return exit status and output."""
    program, *words = shlex.split(line, comments=True)
    command = fenced if program == "fenced" else importlib.import_module(f"{words[1]}.__main__").main
    done = CliRunner().invoke(command, words if program == "fenced" else words[2:])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


# -- make, pip --------------------------------------------------------------------------------------------------------


def test_make_would_do_what_the_pages_say() -> None:
    """Not run here: `make test` runs this test, and the demo is a test of the lab."""
    demo, everything = shell("make", __name__)
    assert "fenced lab --headless" in pasted(demo, ROOT, DRY_MAKE)
    assert "pytest" in pasted(everything, ROOT, DRY_MAKE)
    (block,) = shell("soak", __name__)
    assert ".ci/soak" in pasted(next(line for _, line in typed(block)), ROOT, DRY_MAKE)


def test_pip_installs_the_pinned_packages(tmp_path: Path) -> None:
    (block,) = shell("install", __name__, folder=tmp_path / "fenced")
    said = pasted(block, ROOT, WITHOUT_NETWORK)
    assert "Would install fenced-0.1.0" in said
    assert pasted("./fencectl --version", tmp_path / "fenced").startswith("fencectl, version")


def test_the_first_watched_host_takes_few_commands() -> None:
    """`python -m tests.system.day_one` measures the time."""
    assert len(first_host()) <= FIRST_HOST_MAX
    assert len(rack()) <= RACK_MAX


# -- imports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with what the other programs would have exported."""
    (table,) = [block.text for block in all_blocks() if block.text.startswith("host,address,")]
    (tmp_path / "hosts.csv").write_text(table)
    objects = yaml.safe_dump_all([template(sharedSecretName="all")])
    nodes = yaml.safe_dump_all([{"kind": "Node", "metadata": {"name": "worker-0"}}])
    secrets = yaml.safe_dump_all([secret("all", username="fence", password="hunter2")])
    parts = {"fenceagentsremediationtemplates,nodehealthchecks": objects, "nodes": nodes, "secrets": secrets}
    for name, text in parts.items():
        (tmp_path / f"source.{name}").write_text(text)
    (tmp_path / "objects.yaml").write_text(objects)
    (tmp_path / "cib.xml").write_bytes(cib(stonith("bmc-1", "fence_ipmilan", **BMC)))
    (tmp_path / "hosts.json").write_text(json.dumps({"host": [host(agent())]}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("blocks", "source", "inventories"),
    [
        (lambda: shell("import", __name__), "", ["cluster-1", "ovirt", "k8s", "rack-7"]),
        (lambda: shell("pacemaker", __name__), "cib.xml", ["cluster-1"]),
        (lambda: shell("ovirt", __name__), "hosts.json", ["ovirt"]),
        (lambda: shell("medik8s", __name__), "", ["k8s"]),
    ],
)
def test_what_other_programs_know_is_imported(
    sources: Path, blocks: Callable[[], list[str]], source: str, inventories: list[str]
) -> None:
    if source:
        (sources / source).rename(sources / "source")
    (block,) = blocks()
    for _, line in typed(block):
        if line.startswith("fenced "):
            status, said = called(line)
            assert status in {0, LOST}, said
        else:
            pasted(line, sources, OTHERS)
    written = [tomllib.loads((sources / f"{name}.toml").read_text()) for name in inventories]
    assert all(inventory["host"] for inventory in written)


# -- programs ---------------------------------------------------------------------------------------------------------


@needs("fence_apc_snmp", "fence_dummy")
def test_agents_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "agents").mkdir()
    for name in ("fence_apc_snmp", "fence_dummy"):
        (tmp_path / "agents" / name).symlink_to(Path("/usr/sbin") / name)
    (block,) = shell("agents", __name__, folder=tmp_path / "agents")
    listed, one, as_json = (called(line) for _, line in typed(block))
    assert listed[0] == one[0] == as_json[0] == 0
    assert "fence_dummy" in listed[1] and "snmp_priv_prot" in one[1]
    assert {each["name"] for each in json.loads(as_json[1])} == {"fence_apc_snmp", "fence_dummy"}


def test_the_formal_model_is_explored() -> None:
    """With so few commands on their way, some rules are not needed: then `--rules` ends with 1."""
    (block,) = shell("formal model", __name__)
    ended = [called(line) for _, line in typed(block)]
    assert [status for status, _ in ended] == [0, 1, 1, 0, 0, 1]
    assert "every promise holds" in ended[0][1] and "by this way" in ended[1][1]
    assert all(f"without {rule}:" in ended[2][1] for rule in RULES)
    assert "every promise holds" in ended[4][1] and "by this way" in ended[5][1]


def test_a_seed_is_told_as_a_story() -> None:
    (block,) = shell("soak", __name__)
    line = [line for _, line in typed(block)][-1]
    status, said = called(line)
    assert status == 0 and said.count("\n") > 10
