"""The waterfall, the story and the sentence of an operation: plain functions on its JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.api import views
from fenced.cli.fencectl.story import changes, sentence
from fenced.cli.waterfall import WIDTH_MIN, render
from fenced.core.durable.state import Operation, Restored
from fenced.model.power import Action, OperationState, Outcome, Power, Proof
from tests.fakes.samples import finished_restart

EXPECTED = """\
operation 1-7: restart node-2, done after 6.25 s
  cause silence, by fenced: silent for 21 s
  joined by alice
  started 2027-01-15T08:00:00.000Z, last fence token 1-6
  fenced: yes (device_verified, level 1)   power: on   restored: all

pdu-a  level 1  on
  left out node-2: the target itself
  race px1 (tier 1)    |-------------------------------------         |    0 ms  +5.00 s timed_out
      no answer
  race px2 (tier 1)    | -                                            |  250 ms   +60 ms won
  race engine (tier 2) |                                              |                  not_started
  off via px2          |  #######                                     |  400 ms  +1.00 s timed_out
      no answer from 10.9.1.1
  off via px2          |           #######                            |  1.50 s  +1.00 s done
  status via px2       |                   =                          |  2.60 s  +100 ms unknown
  status via px2       |                          ========            |  3.60 s  +1.10 s off x2
  on via px2           |                                    #######   |  5.00 s  +1.00 s done
  status via px2       |                                            = |  6.10 s  +100 ms on
"""


def shown(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(views.operation(operation).model_dump_json())
    return found


def test_the_waterfall_of_a_restart() -> None:
    lines = render(shown(finished_restart()), width=101)
    assert "\n".join(lines).startswith(EXPECTED)


def test_a_drill_is_called_so() -> None:
    assert render(shown(replace(finished_restart(), is_drill=True)))[0].startswith("operation 1-7: drill node-2, done")


@given(width=st.integers(min_value=0, max_value=300), now=st.none() | st.integers(min_value=0, max_value=10**7))
def test_it_fits_every_width(width: int, now: int | None) -> None:
    for operation in (finished_restart(), replace(finished_restart(), devices=())):
        lines = render(shown(operation), width=width, now_ms=now)
        assert max(len(line) for line in lines) <= max(width, WIDTH_MIN)
        assert "\n".join(lines).isascii()


def test_an_operation_that_just_began_renders() -> None:
    operation = replace(
        finished_restart(), ended=None, state=OperationState.RUNNING, token=None, devices=(), joined=(), proof=None
    )
    assert render(shown(operation), now_ms=10)[0] == "operation 1-7: restart node-2, running"


def test_changes_are_printed_once() -> None:
    whole = finished_restart()
    first = replace(whole, is_fenced=False, joined=(), devices=tuple(replace(run, steps=()) for run in whole.devices))
    printed = [*changes(None, shown(first)), *changes(shown(first), shown(whole)), *changes(shown(whole), shown(whole))]
    assert sorted(printed) == sorted(changes(None, shown(whole)))
    assert any("node-2 is fenced" in line for line in printed)


def test_a_running_command_is_printed_at_once_and_again_when_it_ends() -> None:
    whole = finished_restart()
    run = whole.devices[0]
    ended = run.steps[1]
    begun = replace(ended, ended=None, outcome=None)
    before = shown(replace(whole, devices=(replace(run, race=(), steps=(begun,)),)))
    after = shown(replace(whole, devices=(replace(run, race=(), steps=(ended,)),)))
    assert changes(None, before)[0] == "    1.50 s  pdu-a: off via px2"
    assert changes(before, after) == ["    2.50 s  pdu-a: off via px2: done"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "node-2 was fenced (read back on every device of level 1) and reads on again after 6.25 s"),
        ({"action": Action.OFF, "power": Power.OFF}, "node-2 is fenced after 6.25 s: off, read back on every device"),
        ({"action": Action.OFF, "proof": Proof.HUMAN}, "node-2 is fenced after 6.25 s: off, confirmed by an operator"),
        ({"restored": Restored.PART}, "restored: part, redundancy lost"),
        ({"state": OperationState.FAILED, "is_fenced": False}, "restart failed: node-2 is NOT fenced"),
        ({"state": OperationState.CANCELLED, "is_fenced": False}, "restart cancelled: node-2 is NOT fenced"),
        (
            {"state": OperationState.FAILED, "power": Power.OFF, "restored": Restored.NO},
            "restart failed: node-2 is fenced; power reads off, restored: no",
        ),
        ({"action": Action.STATUS, "power": Power.OFF}, "node-2: off"),
        ({"action": Action.ON, "is_fenced": False}, "node-2 reads on after 6.25 s"),
    ],
)
def test_the_sentence_says_whether_the_host_is_fenced(changed: dict[str, Any], said: str) -> None:
    assert said in sentence(shown(replace(finished_restart(), **changed)))


def test_a_failure_names_the_device_and_its_last_error() -> None:
    whole = finished_restart()
    run = whole.devices[0]
    step = replace(run.steps[0], outcome=Outcome.FAILED, error="login refused by 10.9.1.1")
    stuck = replace(run, power=Power.ON, steps=(step,), race=())
    failed = replace(whole, state=OperationState.FAILED, is_fenced=False, power=Power.UNKNOWN, devices=(stuck,))
    assert "(pdu-a on: login refused by 10.9.1.1)" in sentence(shown(failed))
