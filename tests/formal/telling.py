"""Print a way through a model as a story, one line per step.

The explorer's worlds stand for all equivalent ones, with what has no name in a fixed order; here everything keeps the
name that it got first.
"""

from tests.formal.explore import A, Model, W


def told(way: tuple[A, ...], model: Model[W, A]) -> list[str]:
    """Return the way in words."""
    world, like, lines = model.first(), model.canonical(model.first()), []
    for number, wanted in enumerate(way, start=1):
        like = next(model.canonical(world) for action, world in model.successors(like) if action == wanted)
        step, following = next(
            (action, following) for action, following in model.successors(world) if model.canonical(following) == like
        )
        lines.append(f"{number:>3}  {model.named(world, step)}")
        world = following
    return lines
