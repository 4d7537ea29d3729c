"""Every scene in `scenes/` ends as its file says, and breaks no rule on the way."""

from pathlib import Path

import pytest

from tests.golden.scenes import Scene, decisions, read_scenes, rewrite

SCENES = [scene for path in sorted((Path(__file__).parent / "scenes").glob("*.txt")) for scene in read_scenes(path)]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.id)
def test_scene(scene: Scene, request: pytest.FixtureRequest) -> None:
    decided = decisions(scene)
    if request.config.getoption("--rewrite-golden"):
        rewrite(scene, decided)
        return
    assert decided == list(scene.story.expected)


def test_titles_of_scenes_are_unique() -> None:
    titles = [scene.id for scene in SCENES]
    assert len(titles) == len(set(titles))
