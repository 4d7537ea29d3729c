"""Stories and scenes cover the tables of design.md#power-model, preference lists, gates, and crashes in each phase."""

import pytest

from fenced.core.allowed import gates
from tests.core.desk import NODE, Desk
from tests.golden.coverage import GATES, IMPOSSIBLE, cells, is_shown
from tests.golden.scenes import Scene
from tests.golden.test_scenes import SCENES
from tests.golden.test_stories import STORIES


def test_every_cell_is_shown() -> None:
    assert sorted(cells() - {cell for scene in SCENES for cell in scene.cells}) == []


def test_no_scene_covers_what_there_is_not() -> None:
    assert sorted({cell for scene in SCENES for cell in scene.cells} - cells()) == []


def test_what_is_impossible_is_not_demanded() -> None:
    assert not IMPOSSIBLE.keys() & cells()


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.cells], ids=lambda scene: scene.id)
def test_a_scene_shows_what_it_says(scene: Scene) -> None:
    decided = "; ".join(scene.story.expected)
    assert [cell for cell in scene.cells if not is_shown(cell, decided)] == []


def test_every_gate_of_the_core_is_among_them() -> None:
    desk = Desk()
    assert {verdict.gate for verdict in gates.all_gates(desk.fleet, NODE, desk.now)} == set(GATES)


def test_there_are_enough_of_both() -> None:
    assert len(STORIES) >= 59
    assert len(SCENES) >= 170
