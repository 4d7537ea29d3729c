"""The simulation stays fast enough to be useful: well above a thousand scenarios a minute on two cores of today.

`make bench` measures that (tests/bench/scenarios.py). This test compares processor time with plain work of the same
loop in the same run, so a busy or slow machine does not matter.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from tests.simulation.play import Outcome, silence_logs, simulate
from tests.world.loop import run

SCENARIOS = 16
TURNS = 2_000
TURNS_EACH_MAX = 130_000
"""Maximum cost of a scenario with an operation, in turns of an idle task on the virtual loop;
the usual is about 95,000. A fifth of it is what controllers of one store look for twice a second."""


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_a_scenario_costs_no_more_than_it_should() -> None:
    silence_logs()
    simulate(0)
    outcomes: list[Outcome] = []

    def play(seed: int) -> None:
        outcomes.append(simulate(seed))

    took = plain = 0.0
    for seed in range(500, 500 + SCENARIOS):  # alternate, because a busy machine slows both
        took += seconds(partial(play, seed))
        plain += seconds(lambda: run(turns()))
    turn = plain / (SCENARIOS * TURNS)
    each = took / sum(outcome.operations > 0 and outcome.faults >= 3 for outcome in outcomes)
    print(f"{each * 1000:.0f} ms of a processor each, {120 / each:.0f} a minute on two cores, {each / turn:.0f} turns")
    assert each / turn < TURNS_EACH_MAX
