"""What the log says of a durable batch: a drill that failed is an error, because someone must act."""

import pytest
from structlog.testing import capture_logs

from fenced.core.durable import records as r
from fenced.core.durable.state import DrillResult, DrillStep
from fenced.core.fleet import Fleet
from fenced.engine.batch import Collected
from fenced.engine.observer import Observer
from fenced.model.names import OperationId
from tests.core.desk import NODE
from tests.world.network import WorldClock
from tests.world.rack import Rack, inventory
from tests.world.telemetry import RecordingTelemetry


@pytest.mark.parametrize(
    ("result", "step", "level"),
    [
        (DrillResult.FAILED, DrillStep.SILENT, "error"),
        (DrillResult.SUCCEEDED, None, "info"),
        (DrillResult.CANCELLED, DrillStep.OFF, "info"),
    ],
)
def test_a_drill_that_failed_is_logged_as_an_error(result: DrillResult, step: DrillStep | None, level: str) -> None:
    ended = r.DrillEnded(operation=OperationId("1-1"), result=result, failed_step=step, why="it went on beating")
    observer = Observer(
        fleet=Fleet(inventory(Rack()), epoch=1, started=0.0), telemetry=RecordingTelemetry(), clock=WorldClock()
    )
    with capture_logs() as logs:
        observer.take(Collected(entries=[r.Entry(at=1.0, host=NODE, record=ended)]))
    (line,) = logs
    assert (line["event"], line["log_level"], line["host"]) == (f"drill_{result.value}", level, NODE)
    assert line.get("step") == (step.value if result is DrillResult.FAILED and step is not None else None)
