"""docs/interface.md names exactly what the code has. What is reserved, or not promised, is listed here."""

import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

from fenced.api import controllers, shapes
from fenced.api.routes import ROUTES
from fenced.bus.topics import Topics
from fenced.cli.fencectl import main as fencectl
from fenced.cli.fencectl.session import ExitCode
from fenced.cli.main import COMMANDS, SUMMARIES
from fenced.core.durable import records as r
from fenced.core.durable.state import DrillResult, DrillStep, HostState, Operation, Restored
from fenced.core.said.announce import announce, state_message
from fenced.model.names import HostName
from fenced.model.power import Action, Cause, OperationState, Outcome, Power, Proof, State, Verdict, What
from fenced.telemetry.bus_gauges import BusGauges
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.observer_gauges import ObserverGauges
from fenced.telemetry.reloads import ReloadGauges
from fenced.telemetry.saving import SavingGauges
from fenced.telemetry.shards import ShardFacts, ShardGauges
from tests.fakes.control import FakeControl
from tests.fakes.samples import finished_restart
from tests.house.interface import PAGE, names, rows, table
from tests.house.specimens import specimens
from tests.house.tree import ROOT
from tests.journal.strategies import RECORDS, host_state

HOST_EVENTS: Final = table("Event of a host")
FLEET_EVENTS: Final = table("Event of the fleet")
RESERVED_EVENTS: Final = {
    "io.fenced.host.dumping", "io.fenced.host.soft_fenced",
}  # fmt: skip
OF_EVERY_HOST_EVENT: Final = {"host", "operation", "token", "cause", "by", "reason"}
METRICS_BEYOND: Final = {"fenced_clock_ahead_seconds", "fenced_bus_taken_over_total", "fenced_api_requests_total"}
"""In docs/metrics.md, but not promised."""

VALUES: Final = {
    "action": Action, "cause": Cause, "state": OperationState, "power": Power, "proof": Proof, "restored": Restored,
    "what": What, "outcome": Outcome, "verdict": Verdict, "result": DrillResult, "step": DrillStep,
}  # fmt: skip


# -- the bus ----------------------------------------------------------------------------------------------------------


def test_topics() -> None:
    topics = Topics(site="S")
    built = {
        topics.health("HOST"), topics.presence("HOST"), topics.evidence("HOST", "SOURCE"), topics.request("HOST"),
        topics.reply("ID"), topics.event("HOST"), topics.event(None), topics.state("HOST"), topics.controller("NAME"),
        topics.info, topics.command("HOST"), topics.cluster_request,
    }  # fmt: skip
    assert set(table("Topic")) == built
    incoming = [topic for topic, *_ in (names(cells[0]) for cells in rows("Topic") if re.search(r"\bin\b", cells[1]))]
    assert [re.sub(r"HOST|SOURCE|NAME", "+", topic) for topic in incoming] == [it.filter for it in topics.incoming]


def test_reserved_events() -> None:
    """They are named, but no record causes one."""
    page = PAGE.read_text(encoding="utf-8")
    assert [type_ for type_ in RESERVED_EVENTS if f"`{type_}`" not in page] == []
    assert RESERVED_EVENTS & (HOST_EVENTS.keys() | FLEET_EVENTS.keys()) == set()


def test_event_data() -> None:
    """Every event has all documented fields and no others."""
    own = {type_: OF_EVERY_HOST_EVENT | set(fields) for type_, fields in HOST_EVENTS.items()}
    documented = own | {type_: set(fields) for type_, fields in FLEET_EVENTS.items()}
    said = {(type_, tuple(sorted(fields))) for type_, fields in _said()}
    assert said == {(type_, tuple(sorted(fields))) for type_, fields in documented.items()}


def _said() -> Iterator[tuple[str, set[str]]]:
    """Return the events of every record, with their fields."""
    operation = finished_restart()
    idle, busy = host_state(), HostState(name=HostName("node-1"), since=0.0, operation=operation)
    of_host = [(idle.name, idle, busy), (idle.name, busy, idle), (idle.name, busy, busy)]
    for record in (record for kind in RECORDS for record in _records(kind, operation)):
        for host, before, after in (*of_host, (None, None, None)):
            for said in announce(r.Entry(at=1.0, host=host, record=record), before, after):
                yield said.type, set(said.data)


def _records(kind: type, operation: Operation) -> Iterator[r.Record]:
    run = operation.devices[0]
    for record in specimens(kind):
        if isinstance(record, r.StepEnded):
            yield dataclasses.replace(record, operation=operation.id, device=run.device, number=run.steps[0].number)
        if isinstance(record, r.OperationStarted):
            yield dataclasses.replace(record, operation=dataclasses.replace(record.operation, action=Action.WAKE))
            yield dataclasses.replace(record, operation=dataclasses.replace(record.operation, is_drill=True))
        yield record


def test_states() -> None:
    assert [names(cells[0])[0] for cells in rows("State")] == [state.value for state in State]


def test_state_message() -> None:
    fields = ", ".join(f'"{field}"' for field in state_message(host_state(), "fenced-a"))
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"`{{{fields}}}`" in page


# -- http -------------------------------------------------------------------------------------------------------------


def test_routes() -> None:
    documented = [(names(cells[0])[0], cells[1]) for cells in rows("Route")]
    built = [(f"{route.method} {route.path}", route.role.name.lower() if route.role else "") for route in ROUTES]
    assert sorted(documented) == sorted(built)


def test_objects() -> None:
    for shape, fields in table("Object").items():
        model = getattr(shapes, shape, None) or getattr(controllers, shape)
        assert fields == list(model.model_fields), shape


def test_values() -> None:
    assert {field: VALUES[field] for field in table("Field")} == VALUES
    for field, values in table("Field").items():
        assert values == [member.value for member in VALUES[field]], field


# -- programs ---------------------------------------------------------------------------------------------------------


def test_commands() -> None:
    documented = {command for cells in rows("Command") for command in names(cells[0])}
    built = {f"fenced {command}" for command in COMMANDS} | {f"fencectl {command}" for command in fencectl.commands}
    assert documented == built


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    own = {name: importlib.import_module(module).command.get_short_help_str(500) for name, module in COMMANDS.items()}
    assert own == SUMMARIES
    assert [*SUMMARIES] == [*COMMANDS]


def test_the_list_of_commands_imports_none_of_them() -> None:
    """It takes as long as click takes, not the 1.4 s of all commands."""
    code = "import sys; from fenced.cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    text, loaded = done.stdout.rsplit("\n", 2)[0], {*done.stdout.split()}
    assert [name for name in COMMANDS if name not in text] == []
    assert {name for name in loaded if name.startswith("fenced.")} == {"fenced.cli", "fenced.cli.main"}
    assert "pydantic" not in loaded


def test_exit_status() -> None:
    documented: dict[str, set[int]] = {}
    for program, status, *_ in rows("Program"):
        documented.setdefault(names(program)[0], set()).add(int(status))
    assert documented.pop("fencectl") == {code.value for code in ExitCode}
    for command, module in COMMANDS.items():
        codes = {value for name, value in vars(importlib.import_module(module)).items() if name.startswith("EXIT")} - {
            ExitCode.USAGE
        }
        assert documented.get(f"fenced {command}", set()) == (codes | {0} if codes else set()), command


# -- metrics ----------------------------------------------------------------------------------------------------------


def test_metrics() -> None:
    scraped = {name for name in _scraped() if name.startswith("fenced_")}
    assert {names(cells[0])[0] for cells in rows("Metric")} == scraped - METRICS_BEYOND
    assert scraped >= METRICS_BEYOND


def test_every_metric_is_explained() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert [name for name in _scraped() if name.startswith("fenced_") and f"`{name}" not in page] == []


def _scraped() -> set[str]:
    """Return the families of a scrape by their public names, also those without a count yet."""
    metrics = Metrics()
    gauges: Any = Gauges(FakeControl(), outbox_pending=lambda: 0, outbox_stuck=lambda: 0)
    shard = ShardFacts(shard="main", is_held=True, lease_seconds=9.0, lag=0)
    shards: Any = ShardGauges(lambda: (shard,))
    nobody: Any = SimpleNamespace(views=tuple)
    observers = ObserverGauges(nobody, lambda name: "")
    saving = SavingGauges(FakeControl().saving_totals)
    for collector in (gauges, saving, shards, observers, BusGauges(lambda: 0), ReloadGauges(lambda: (True, 0.0))):
        metrics.registry.register(collector)
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, "") for family in metrics.registry.collect()}
