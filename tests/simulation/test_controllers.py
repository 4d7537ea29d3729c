"""Several controllers: trouble at every moment of a fence breaks no rule, and what should happen happens."""

import pytest

from tests.simulation.play import silence_logs
from tests.simulation.struck import TROUBLES, Case, Moment, struck


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_at_a_moment_of_a_fence(trouble: str) -> None:
    """With two controllers at one moment, with three at another; `python -m tests.simulation.struck` plays them all."""
    silence_logs()
    turn = list(TROUBLES).index(trouble)
    moments = [list(Moment)[(turn + step) % len(Moment)] for step in (0, 2)]
    for moment, controllers in zip(moments, (2, 3), strict=True):
        case = Case(moment=moment, trouble=trouble, controllers=controllers)
        problems, _ = struck(case, seed=turn)
        if problems:
            story = "\n".join(struck(case, is_told=True, seed=turn)[1])
            pytest.fail(f"{case}\n{story[-6000:]}\n" + "\n".join(problems))
