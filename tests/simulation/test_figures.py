"""The published figures: the table has every gate, and the first seeds find nothing worse than it says."""

import re

from fenced.core.allowed.catalogue import GATES
from tests.simulation import figures
from tests.simulation.ordinary import RATES, ordinary
from tests.simulation.ordinary_play import played
from tests.simulation.play import silence_logs

SEEDS = 24


def published() -> str:
    page = figures.PAGE.read_text(encoding="utf-8")
    return page[page.index(figures.BEGIN) + len(figures.BEGIN) : page.index(figures.END)]


def test_the_table_names_every_gate_and_every_incident() -> None:
    table = published()
    for gate in GATES:
        assert f"| `{gate}` open |" in table or (gate in figures.NEVER_CLOSED and f"`{gate}`" in table), gate
    for rate in RATES:
        assert f"| {rate.what} |" in table


def test_no_host_that_answers_is_fenced_and_nobody_is_fenced_for_a_switch() -> None:
    silence_logs()
    days = [played(seed) for seed in range(SEEDS)]
    figure = figures.Figure(name=figures.ALL, days=days)
    assert not any(day.problems for day in days)
    assert figure.false(is_asked=True) == 0
    assert not any(day.cut_off for day in days)
    row = next(line for line in published().splitlines() if line.startswith(f"| {figures.ALL} |"))
    asked, unasked = (float(cell.split()[0]) for cell in row.split("|")[2:4])
    assert asked <= 10.0 and unasked <= 250.0, "what is published"


def test_an_open_gate_is_noticed() -> None:
    silence_logs()
    without = [played(seed, "alive_but_silent") for seed in _muted()]
    assert any(day.false for day in without if day.is_asked)
    assert not any(played(seed).false for seed in _muted() if ordinary(seed).is_asked)


def _muted() -> list[int]:
    """Return a few seeds in which the reporter of a host dies, and its host answers."""
    found = (seed for seed in range(200) if _is_muted(seed))
    return [next(found) for _ in range(3)]


def _is_muted(seed: int) -> bool:
    made = ordinary(seed)
    return made.is_asked and any("reporter dies" in kind for kind in made.kinds)


def test_a_count_is_told_with_what_it_leaves_open() -> None:
    assert figures.told(0, 3e6) == "0 (below 1.0)"
    assert re.fullmatch(r"100 \(38 to 181\)", figures.told(10, 1e5))
