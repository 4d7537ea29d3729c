"""Parses and plays short scenes: many in one file over the same fleet and script, each with its decisions.

A file has a free text, `fleet` and `script` as a story has, then scenes. A scene is `scene TITLE` and lines indented
below it: `covers CELLS` (a title that is a cell covers itself), lines for fleet and script, and after `=` the decisions
in their order. A scene keeps only what matters to an operator: what was switched and through which proxy, announced,
refused, held, ended.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.golden.fleet import BadStory, rack_of
from tests.golden.story import TOLD_ON_BUS, Story, moment, play

WIDTH = 118
SUBJECT = "node-2"
"""The host that scenes are about; others are named where something is decided about them."""

LINE = re.compile(r"\s*\S+\s+(?P<who>\S+)\s+(?P<text>.+)")
COMMAND = re.compile(r"(?P<what>(?:off|on) \S+) through (?P<proxy>\S+)")
OUTCOME = re.compile(r"(?P<what>(?:off|on) \S+): (?P<outcome>.+)")
UNTOLD = re.compile(
    r"SUSPECT|HEARD|phase|gates open|asked itself|level|the broker|seen:|redundancy lost|path to|was seen|RESUMED$"
    r"|\S+ reads |\S+ is not readable|CONTRADICTION|RESTORE|FENCE FAILED|REVOKED|LEFT OFF|WRONG MACHINE|FENCEABLE"
    r"|DISTRUSTS"
)
"""Steps before and right after a decision; most of them reach the bus and are shown from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`cells`: what the scene covers; `story`: the scene as a whole story."""

    title: str
    path: Path
    cells: tuple[str, ...]
    story: Story

    @property
    def id(self) -> str:
        return f"{self.path.stem}: {self.title}"


def read_scenes(path: Path) -> Iterator[Scene]:
    """Read the scenes of a file. Raises BadStory."""
    head, *parts = path.read_text().split("\nscene ")
    fleet, script = _common(head)
    for part in parts:
        title, *lines = part.splitlines()
        yield _scene(path, title.strip(), [line.strip() for line in lines if line.strip()], fleet, script)


def _common(head: str) -> tuple[list[str], list[str]]:
    found: dict[str, list[str]] = {"fleet": [], "script": []}
    into: list[str] = []
    for line in head.splitlines():
        if not line.startswith(" "):
            into = found.get(line.strip(), [])
        elif line.strip():
            into.append(line.strip())
    return found["fleet"], found["script"]


def _scene(path: Path, title: str, lines: list[str], fleet: list[str], script: list[str]) -> Scene:
    own = [line for line in lines if not line.startswith(("=", "covers "))]
    covers = [line.removeprefix("covers ") for line in lines if line.startswith("covers ")]
    cells = " ".join(covers).split() or ([title] if "/" in title and " " not in title else [])
    moments = sorted((moment(line) for line in [*script, *own] if line[0].isdigit()), key=lambda it: it[0])
    if not moments or moments[-1][1] != "end":
        raise BadStory(f"{path.name}: the script of {title!r} has no end")
    story = Story(
        path=path,
        head=title,
        rack=rack_of([*fleet, *(line for line in own if not line[0].isdigit())]),
        script=tuple(moments),
        expected=tuple(" ".join(line.removeprefix("=").strip() for line in lines if line.startswith("=")).split("; ")),
    )
    return Scene(title=title, path=path, cells=tuple(cells), story=story)


def rewrite(scene: Scene, decided: list[str]) -> None:
    """Rewrite the file with a new expectation for this scene."""
    wrapped = "".join(f"  = {line}\n" for line in textwrap.wrap("; ".join(decided), WIDTH, break_on_hyphens=False))
    head, *parts = scene.path.read_text().split("\nscene ")
    for at, part in enumerate(parts):
        title, _, lines = part.partition("\n")
        if title.strip() == scene.title:
            kept = "".join(f"{it}\n" for it in lines.splitlines() if it.strip() and not it.strip().startswith("="))
            parts[at] = f"{title}\n{kept}{wrapped}"
    scene.path.write_text("\nscene ".join([head, *parts]))


# -- what was decided -------------------------------------------------------------------------------------------------


def decisions(scene: Scene) -> list[str]:
    """Play the scene and return its decisions in order. Raises AssertionError with what the checker found."""
    is_race_told = bool(scene.story.rack.proxies)
    told: list[str] = []
    ends: dict[str, str] = {}
    for line in play(scene.story):
        if line.startswith("at the end "):
            name, _, state = line.removeprefix("at the end ").partition(" is ")
            ends[name] = state
            continue
        found = LINE.fullmatch(line)
        assert found is not None, line
        _take(told, found["who"], found["text"], is_race_told=is_race_told)
    ends.setdefault(SUBJECT, "healthy")
    return [*_counted(told), *(f"{name} is {state}" for name, state in ends.items())]


def _take(told: list[str], who: str, text: str, *, is_race_told: bool) -> None:
    prefix = "" if who in {SUBJECT, "bus", "person", "fleet"} else f"{who}: "
    outcome, command = OUTCOME.fullmatch(text), COMMAND.fullmatch(text)
    if who in {"*", "~"}:
        return
    if who == "bus":
        host, _, word = text.partition(" ")
        assert word in TOLD_ON_BUS, text
        told.append(f"told {word}" if host == SUBJECT else f"told {host} {word}")
    elif outcome is not None:
        _end(told, prefix + outcome["what"], outcome["outcome"])
    elif command is not None:
        told.append(prefix + (command["what"] if command["proxy"] == "engine" else text))
    elif text.startswith("race for "):
        if is_race_told or "nobody" in text:
            told.append(prefix + text.partition(", it reads")[0].replace("race for ", "", 1))
    elif not UNTOLD.match(text):
        told.append(prefix + text.replace("; ", ", ").removeprefix("operation "))


def _end(told: list[str], what: str, outcome: str) -> None:
    """Append to the command how it ended, if it was not done."""
    for at in range(len(told) - 1, -1, -1):
        if told[at] == what or told[at].startswith(f"{what} through "):
            told[at] += "" if outcome == "done" else f" ({outcome})"
            return


def _counted(told: list[str]) -> Iterator[str]:
    """Merge equal decisions between two others into one, with their number."""
    counts: dict[str, int] = {}
    for text in [*told, ""]:
        is_repeatable = text.startswith(("off ", "on ")) or "nobody reaches it" in text
        if not is_repeatable or (text not in counts and _is_turn(text, counts)):
            yield from (it if number == 1 else f"{it} x{number}" for it, number in counts.items())
            counts = {}
        if is_repeatable:
            counts[text] = counts.get(text, 0) + 1
        elif text:
            yield text


def _is_turn(text: str, counts: dict[str, int]) -> bool:
    """Return whether the text turns from OFF to ON or back; such turns are never merged."""
    return any(it.partition(" ")[0] != text.partition(" ")[0] for it in counts)
