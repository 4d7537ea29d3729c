"""The commands that a person types while the lab runs."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fenced.lab.console import HELP, Console
from fenced.lab.controllers import Controller, Controllers
from fenced.lab.errors import LabError
from fenced.lab.faults import FaultKind, Faults
from fenced.lab.ground import Endpoint, PlainGround
from fenced.lab.hosts import HostFiles, Hosts, VirtualHost
from fenced.lab.programs import Program
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.lab.settings import CONTROLLERS, ControllerPlace


class Bench:
    """A console over a rack of two hosts that do not run."""

    def __init__(self, path: Path) -> None:
        names = ("node-1", "node-2")
        files = HostFiles(oracle=path / "oracle", console=path / "console", folder=path)
        hosts = [
            VirtualHost(
                PlainGround(), name=name, index=index, files=files, reporter=lambda host, boot: [sys.executable]
            )
            for index, name in enumerate(names)
        ]
        outlets = {
            name: tuple(Outlet(unit=unit, number=number) for unit in ("pdu-a", "pdu-b"))
            for number, name in enumerate(names, 1)
        }
        self.hosts = Hosts(hosts)
        self.pressed: list[str] = []
        wirings = [Wiring(host=name, outlets=outlets[name]) for name in names]
        self.rack = Rack(wirings, changed=self.hosts.power_changed, asked=self.pressed.append)
        self.faults = Faults()
        self.controllers = Controllers([])
        self.console = Console(self.rack, self.hosts, self.faults, self.controllers)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    yield Bench(tmp_path)


async def test_every_command_of_the_help_is_obeyed(bench: Bench) -> None:
    words = [line.split()[0] for line in HELP.splitlines()]
    for word in set(words) - {"help", "hosts", "quit", "stuck", "lying", "slow", "dead", "heal"}:
        assert bench.console.obey(f"{word} node-1")
    for word in ("stuck", "lying", "slow", "dead", "heal"):
        assert bench.console.obey(f"{word} pdu-b node-2")
        assert bench.console.obey(f"{word} bmc node-2")
    assert len(bench.console.obey("hosts")) == 2
    assert bench.console.obey("  \n") == []


async def test_power_by_hand(bench: Bench) -> None:
    bench.console.obey("power node-2 off")
    assert not bench.rack.has_power("node-2")
    assert "power off (pdu-a OFF, pdu-b OFF)" in bench.console.obey("hosts")[1]
    bench.console.obey("power node-2 on")
    assert bench.rack.has_power("node-2")


async def test_the_power_button_is_pressed(bench: Bench) -> None:
    assert bench.console.obey("press node-2") == ["node-2: its power button was pressed"]
    assert bench.pressed == ["node-2"]


async def test_work_is_given_where_power_is_saved(bench: Bench) -> None:
    with pytest.raises(LabError, match="not a command"):
        bench.console.obey("work node-1 2")
    console = Console(bench.rack, bench.hosts, bench.faults, Controllers([]), is_saving=True)
    assert "work HOST N" in "\n".join(console.obey("help"))
    with pytest.raises(LabError, match="node-1 does not run"):
        console.obey("work node-1 2")
    with pytest.raises(LabError, match="not a command"):
        console.obey("work node-1 many")


async def test_faults_are_shown_and_healed(bench: Bench) -> None:
    bench.console.obey("stuck pdu-a node-2")
    bench.console.obey("lying bmc node-2")
    assert bench.faults.kind("pdu-a/2") is FaultKind.STUCK
    assert "bmc/node-2 lying, pdu-a/2 stuck" in bench.console.obey("hosts")[1]
    assert "stuck" not in bench.console.obey("hosts")[0]
    bench.console.obey("heal pdu-a node-2")
    assert bench.faults.kind("pdu-a/2") is None


async def never_started() -> Program:
    raise LabError("this controller never runs")


async def test_controllers_are_killed_and_started_where_there_are_several(bench: Bench) -> None:
    api = Endpoint(address="127.0.0.1", port=8470)
    pair = Controllers(
        [
            Controller(ControllerPlace(name=name, stem=name, inner=api, api=api), api=api, start=never_started)
            for name in CONTROLLERS
        ]
    )
    console = Console(bench.rack, bench.hosts, bench.faults, pair)
    assert "kill CONTROLLER" in "\n".join(console.obey("help"))
    console.obey("kill fenced-a")
    assert console.obey("controllers") == ["fenced-a is dead", "fenced-b runs"]
    console.obey("start fenced-a")
    assert console.obey("controllers") == ["fenced-a runs", "fenced-b runs"]
    with pytest.raises(LabError, match="no controller 'node-1'"):
        console.obey("start node-1")
    with pytest.raises(LabError, match="no host 'fenced-a'"):
        bench.console.obey("kill fenced-a")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kill node-9", "no host 'node-9'"),
        ("stuck pdu-c node-1", "no device 'pdu-c'"),
        ("power node-1 maybe", "not a command"),
        ("reboot", "not a command"),
    ],
)
async def test_mistakes_are_reported(bench: Bench, line: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        bench.console.obey(line)
