"""Every story in `stories/` ends as its file says, and breaks no rule on the way."""

from pathlib import Path

import pytest

from tests.golden.story import play, read, write

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    story = read(path)
    lines = play(story)
    if request.config.getoption("--rewrite-golden"):
        write(story, lines)
        return
    assert lines == list(story.expected)


def test_a_story_is_the_same_each_time() -> None:
    story = read(STORIES[0])
    assert play(story) == play(story)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 21
